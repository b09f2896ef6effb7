// Addresses: read as people type them, and completed from those with whom one has had mail.

import { App } from "./app";
import { Address } from "./types";
import { add, button, fill, h, set } from "./dom";
import { texts } from "./texts";

const t = texts.compose;

// An address as RFC 5321 has it in a form that people use; the server has the last word.
const whole = /^[^\s@<>()[\]\\,;:"]{1,64}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)+[\p{L}\p{N}-]{2,63}$/u;

export function isAddress(s: string): boolean {
	return whole.test(s) && s.length <= 254;
}

// read is the addresses in a text: "Ann <ann@example.org>, joe@example.org". What is none of them stays as it is.
export function read(text: string): Address[] {
	const out: Address[] = [];
	for (const part of text.match(/(?:"[^"]*"|<[^>]*>|[^,;\n"<])+/g) ?? []) {
		const s = part.trim();
		if (!s) continue;
		const m = /^(.*)<([^<>]+)>$/s.exec(s);
		out.push(m ? { name: m[1].trim().replace(/^"(.*)"$/, "$1") || null, email: m[2].trim() } : { name: null, email: s.replace(/^mailto:/i, "") });
	}
	return out;
}

interface Known {
	name: string | null;
	email: string;
}

const canComplete = "urn:waxwing:params:jmap:people";

// Recipients is a field of addresses: each that is complete stands before where the next one is typed.
export class Recipients {
	readonly element: HTMLElement;
	readonly input: HTMLInputElement;
	private readonly chips = h("ul", { class: "chips" });
	private readonly found: HTMLUListElement;
	private readonly says: HTMLElement;
	private all: Address[] = [];
	private offered: Known[] = [];
	private at = -1;
	private asked = 0;

	constructor(private readonly app: App, name: string, label: string, private readonly changed: () => void) {
		const id = `compose-${name}`;
		this.found = h("ul", { id: id + "-found", class: "found", role: "listbox", "aria-label": t.suggestions, hidden: true });
		this.says = h("p", { id: id + "-says", class: "hidden", role: "status" });
		this.input = h("input", {
			id, type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false", inputmode: "email", role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list",
			"aria-controls": id + "-found", title: t.recipients(label),
			on: { input: () => void this.typed(), keydown: (e) => this.key(e as KeyboardEvent), blur: () => this.left(), paste: (e) => this.pasted(e as ClipboardEvent) },
		});
		this.element = h("div", { class: "field recipients" }, h("label", { for: id }, label), h("div", { class: "entry" }, this.chips, this.input, this.found), this.says);
	}

	get addresses(): Address[] {
		return this.all;
	}

	// bad are those that are no addresses.
	get bad(): string[] {
		return this.all.map((a) => a.email).filter((e) => !isAddress(e));
	}

	put(all: Address[]): void {
		for (const a of all) {
			if (!this.all.some((b) => b.email.toLowerCase() === a.email.toLowerCase())) this.all.push(a);
		}
		this.draw();
	}

	// take makes an address of what is typed.
	take(): void {
		const text = this.input.value.trim();
		if (!text) return;
		const some = read(text);
		this.input.value = "";
		this.hide();
		this.put(some);
		const bad = some.find((a) => !isAddress(a.email));
		fill(this.says, bad ? t.invalid(bad.email) : t.added(some.map((a) => a.email).join(", ")));
		this.changed();
	}

	private remove(a: Address): void {
		this.all = this.all.filter((b) => b !== a);
		this.draw();
		this.changed();
		this.input.focus();
	}

	private draw(): void {
		fill(this.chips, this.all.map((a) => h("li", { class: isAddress(a.email) ? "chip" : "chip bad", title: isAddress(a.email) ? a.email : t.invalid(a.email) },
			h("bdi", {}, a.name ? `${a.name} <${a.email}>` : a.email), button(t.removeAddress(a.email), () => this.remove(a), { icon: "close", bare: true, class: "plain" }))));
	}

	private key(e: KeyboardEvent): void {
		const open = !this.found.hidden;
		switch (e.key) {
			case "ArrowDown":
			case "ArrowUp":
				if (!open) return;
				e.preventDefault();
				this.at = (this.at + (e.key === "ArrowDown" ? 1 : -1) + this.offered.length + 1) % (this.offered.length + 1);
				if (this.at === this.offered.length) this.at = -1;
				this.mark();
				return;
			case "Enter":
			case ",":
			case ";":
				if (!this.input.value.trim()) return;
				e.preventDefault();
				this.choose();
				return;
			case "Tab":
				if (this.at >= 0) this.choose();
				else this.take();
				return;
			case "Escape":
				if (!open) return;
				e.stopPropagation();
				this.hide();
				return;
			case "Backspace":
				if (this.input.value === "" && this.all.length) this.remove(this.all[this.all.length - 1]);
		}
	}

	private choose(): void {
		const one = this.offered[this.at];
		if (one) this.input.value = one.name ? `"${one.name.replace(/["\\]/g, "")}" <${one.email}>` : one.email;
		this.take();
	}

	private pasted(e: ClipboardEvent): void {
		const text = e.clipboardData?.getData("text/plain") ?? "";
		if (!/[,;\n]/.test(text)) return;
		e.preventDefault();
		this.input.value += text.replace(/[\r\n]+/g, ", ");
		this.take();
	}

	private left(): void {
		window.setTimeout(() => {
			if (this.element.contains(document.activeElement)) return;
			this.take();
			this.hide();
		}, 150);
	}

	private async typed(): Promise<void> {
		const text = this.input.value.trim();
		const mine = ++this.asked;
		if (text.length < 1 || !this.app.client.has(canComplete)) return this.hide();
		try {
			const r = await this.app.client.call("Correspondent/query", { text, limit: 8 });
			if (mine !== this.asked) return;
			const chosen = this.offered[this.at]?.email; // while the answer was on its way
			this.offered = (r.list as Known[]).filter((k) => !this.all.some((a) => a.email.toLowerCase() === k.email));
			this.at = this.offered.findIndex((k) => k.email === chosen);
		} catch {
			return; // whoever writes knows the address
		}
		this.mark();
	}

	private hide(): void {
		this.asked++;
		this.offered = [];
		this.at = -1;
		this.mark();
	}

	private mark(): void {
		fill(this.found);
		add(this.found, this.offered.map((k, i) => h("li", { id: `${this.found.id}-${i}`, role: "option", "aria-selected": String(i === this.at),
			on: { mousedown: (e) => { e.preventDefault(); this.at = i; this.choose(); this.input.focus(); } } }, k.name ? `${k.name} <${k.email}>` : k.email)));
		this.found.hidden = !this.offered.length;
		set(this.input, { "aria-expanded": String(this.offered.length > 0), "aria-activedescendant": this.at >= 0 ? `${this.found.id}-${this.at}` : undefined });
	}
}
