// Attachments: chosen, dropped or pasted, and uploaded while one writes on.

import { App } from "./app";
import { button, fill, h, icon } from "./dom";
import { size } from "./dates";
import { texts } from "./texts";

const t = texts.compose;

export interface Attached {
	blobId: string;
	name: string;
	type: string;
	size: number;
}

interface Going {
	name: string;
	percent: number;
	stop: () => void;
}

export class Files {
	readonly element: HTMLElement;
	readonly all: Attached[] = [];
	private going: Going[] = [];
	private readonly list = h("ul", {});
	private readonly says = h("p", { class: "hidden", role: "status" });
	private readonly input: HTMLInputElement;

	constructor(private readonly app: App, private readonly changed: () => void) {
		this.input = h("input", { type: "file", multiple: true, class: "hidden", tabindex: "-1", "aria-label": t.attach, on: { change: () => { this.take(this.input.files); this.input.value = ""; } } });
		this.element = h("section", { class: "files compose-files", "aria-label": t.files }, this.list, button(t.attach, () => this.input.click(), { icon: "clip" }), this.input, this.says);
	}

	get busy(): boolean {
		return this.going.length > 0;
	}

	put(some: Attached[]): void {
		this.all.push(...some);
		this.draw();
	}

	take(files: FileList | null | undefined): void {
		const most = Number(this.app.client.session.capabilities["urn:ietf:params:jmap:core"]?.maxSizeUpload ?? 0);
		for (const f of files ?? []) {
			if (most && f.size > most) this.app.notice({ text: t.tooLarge(f.name, size(most)), bad: true });
			else void this.upload(f);
		}
	}

	private async upload(f: File): Promise<void> {
		const going: Going = { name: f.name, percent: 0, stop: () => undefined };
		this.going.push(going);
		this.draw();
		try {
			const got = await send(this.app, f, going, () => this.draw());
			this.all.push({ blobId: got.blobId, name: f.name, type: f.type || "application/octet-stream", size: got.size });
			fill(this.says, t.attached(f.name));
		} catch (e) {
			if (e !== stopped) this.app.notice({ text: t.uploadFailed(f.name), bad: true });
		}
		this.going = this.going.filter((g) => g !== going);
		this.draw();
		this.changed();
	}

	private remove(a: Attached): void {
		this.all.splice(this.all.indexOf(a), 1);
		this.draw();
		this.changed();
	}

	private draw(): void {
		fill(this.list,
			this.all.map((a) => h("li", {}, icon("clip"), h("bdi", { class: "file" }, a.name), h("span", { class: "help" }, size(a.size)), button(t.removeFile(a.name), () => this.remove(a), { icon: "close", bare: true, class: "plain" }))),
			this.going.map((g) => h("li", { class: "going" }, h("progress", { max: 100, value: g.percent, "aria-label": t.uploading(g.name, g.percent) }), h("bdi", { class: "file" }, g.name),
				button(t.removeFile(g.name), () => g.stop(), { icon: "close", bare: true, class: "plain" }))));
		this.list.hidden = !this.all.length && !this.going.length;
	}
}

const stopped = new Error("stopped");

// send uploads a file as it is read from the disk; fetch cannot tell how far it is.
function send(app: App, f: File, going: Going, draw: () => void): Promise<{ blobId: string; size: number }> {
	const where = app.client.session.uploadUrl.replace(/^[a-z]+:\/\/[^/]*/i, "").replace("{accountId}", encodeURIComponent(app.client.accountId));
	return new Promise((resolve, reject) => {
		const x = new XMLHttpRequest();
		going.stop = () => x.abort();
		x.open("POST", where);
		x.setRequestHeader("Content-Type", f.type || "application/octet-stream");
		x.responseType = "json";
		x.upload.addEventListener("progress", (e) => {
			if (e.lengthComputable) going.percent = Math.floor((100 * e.loaded) / e.total);
			draw();
		});
		x.addEventListener("load", () => (x.status === 201 && x.response ? resolve(x.response) : reject(new Error(String(x.status)))));
		x.addEventListener("error", () => reject(new Error("network")));
		x.addEventListener("abort", () => reject(stopped));
		x.send(f);
	});
}
