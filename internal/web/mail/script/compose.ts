// Composing (MAIL-4): the window in which a mail is written. What it begins with is in answer.ts, how it is kept in drafts.ts,
// how it will travel in bars.ts, and how it goes in send.ts.

import { App, Draft } from "./app";
import { Address, Email } from "./types";
import { button, fill, h } from "./dom";
import { begin, Begin } from "./answer";
import { Drafts, Identity, Written } from "./drafts";
import { Editor } from "./editor";
import { Files } from "./files";
import { mentions } from "./flowed";
import { isAddress, Recipients } from "./people";
import { Security } from "./bars";
import { cancel, How, submit, undoSeconds } from "./send";
import { long } from "./dates";
import { texts } from "./texts";

const t = texts.compose;
const saveAfter = 2_000; // milliseconds without a key
let open: Composer | null = null;

// openCompose opens a window. One that is open is closed first, and its draft kept.
export function openCompose(app: App, draft: Draft): void {
	void (async () => {
		await open?.close();
		let identities: Identity[] = [];
		try {
			identities = (await app.client.call("Identity/get", { ids: null })).list.filter((i: Identity) => !i.email.startsWith("*"));
		} catch (e) {
			app.failed(e);
		}
		open = new Composer(app, draft, identities, await begin(app, draft, identities));
		open.show();
	})();
}

// ask puts a question, and is what was answered.
function ask(text: string, yes: string, no: string): Promise<boolean> {
	return new Promise((resolve) => {
		const d = h("dialog", { class: "sheet ask", on: { close: () => { d.remove(); resolve(d.returnValue === "yes"); } } },
			h("form", { method: "dialog" }, h("p", {}, text), h("p", { class: "ends" }, h("button", { value: "yes", class: "first" }, yes), h("button", { value: "no" }, no))));
		document.body.append(d);
		d.showModal();
	});
}

class Composer {
	private readonly element: HTMLElement;
	private readonly from: HTMLSelectElement;
	private readonly to: Recipients;
	private readonly cc: Recipients;
	private readonly bcc: Recipients;
	private readonly subject: HTMLInputElement;
	private readonly editor: Editor;
	private readonly files: Files;
	private readonly security: Security;
	private readonly status = h("p", { class: "help", role: "status" });
	private readonly later = h("input", { type: "datetime-local", id: "compose-later" });
	private readonly notice = h("input", { type: "checkbox", id: "compose-notice" });
	private readonly drafts: Drafts;
	private readonly before: Element | null = document.activeElement;
	private timer = 0;
	private over = false;

	constructor(private readonly app: App, private readonly draft: Draft, private readonly identities: Identity[], private readonly b: Begin) {
		const changed = () => this.changed();
		this.drafts = new Drafts(app, draft.action === "edit" && draft.of ? draft.of.id : null);
		this.from = h("select", { id: "compose-from", on: { change: changed } }, identities.map((i) => h("option", { value: i.id, selected: i === b.identity }, i.name ? `${i.name} <${i.email}>` : i.email)));
		[this.to, this.cc, this.bcc] = (["to", "cc", "bcc"] as const).map((f) => {
			const r = new Recipients(app, f, t[f], () => this.people());
			r.put(b[f]);
			return r;
		}) as [Recipients, Recipients, Recipients];
		this.subject = h("input", { id: "compose-subject", type: "text", dir: "auto", value: b.subject, on: { input: changed } });
		this.editor = new Editor(changed);
		this.editor.put(b.text);
		if (b.designed) this.editor.putDesigned(b.designed);
		this.files = new Files(app, changed);
		this.files.put(b.files);
		this.security = new Security(app, b.toList);
		this.element = this.window();
		if (this.drafts.id || !this.draft.text) this.drafts.known(this.written());
	}

	private window(): HTMLElement {
		const more = h("div", { hidden: !this.b.cc.length && !this.b.bcc.length }, this.cc.element, this.bcc.element);
		const show = button(t.moreFields, () => { more.hidden = false; show.hidden = true; this.cc.input.focus(); }, { class: "plain", hidden: !more.hidden });
		const e: HTMLElement = h("section", { class: "composer", role: "dialog", "aria-label": t.title, on: {
			keydown: (k) => this.key(k as KeyboardEvent),
			dragover: (d) => { if ((d as DragEvent).dataTransfer?.types.includes("Files")) { d.preventDefault(); e.classList.add("over"); } },
			dragleave: () => e.classList.remove("over"),
			drop: (d) => this.dropped(d as DragEvent),
			paste: (p) => { const files = (p as ClipboardEvent).clipboardData?.files; if (files?.length) { p.preventDefault(); this.files.take(files); } },
		} },
		h("div", { class: "head" }, h("h2", {}, t.title), button(t.closeKeep, () => void this.close(), { icon: "close", bare: true })),
		h("div", { class: "scroll" },
			h("div", { class: "field" }, h("label", { for: "compose-from" }, t.from), this.from),
			this.to.element, show, more,
			h("div", { class: "field" }, h("label", { for: "compose-subject" }, t.subject), this.subject),
			this.editor.element, this.files.element,
			this.draft.action === "forward" ? button(t.asFile, () => this.asFile(), { class: "plain" }) : null,
			this.security.element, this.options()),
		h("div", { class: "foot" }, button(t.send, () => void this.send(), { class: "first", key: "Ctrl+Enter" }), button(t.discard, () => void this.discard()), this.status));
		return e;
	}

	private options(): HTMLElement {
		const undo: HTMLSelectElement = h("select", { id: "compose-undo", on: { change: () => localStorage.setItem("waxwing-undo", undo.value) } },
			[0, 5, 10, 30, 60].map((n) => h("option", { value: String(n), selected: n === undoSeconds() }, t.undoSeconds(n))));
		return h("details", { class: "options" }, h("summary", {}, t.options),
			h("div", { class: "field" }, h("label", { for: "compose-later" }, t.laterAt), this.later),
			h("label", { class: "check" }, this.notice, " ", t.notice),
			h("div", { class: "field" }, h("label", { for: "compose-undo" }, t.undoFor), undo));
	}

	show(): void {
		fill(this.app.overlay, this.element);
		document.body.classList.add("composing");
		addEventListener("pagehide", this.hiding);
		this.people(true);
		if (this.to.addresses.length) this.editor.focus();
		else this.to.input.focus();
	}

	private readonly hiding = () => void this.save();

	private key(e: KeyboardEvent): void {
		e.stopPropagation(); // single keys are letters here
		if ((e.ctrlKey || e.metaKey) && e.key === "Enter") {
			e.preventDefault();
			void this.send();
		} else if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "s") {
			e.preventDefault();
			void this.save();
		} else if (e.key === "Escape" && !e.defaultPrevented) {
			void this.close();
		}
	}

	private dropped(d: DragEvent): void {
		this.element.classList.remove("over");
		if (!d.dataTransfer?.files.length) return;
		d.preventDefault();
		this.files.take(d.dataTransfer.files);
	}

	private asFile(): void {
		const mail = this.draft.of as Email;
		this.files.all.splice(0);
		this.files.put([{ blobId: mail.blobId, name: `${(mail.subject || "mail").replace(/[/\\]/g, " ").slice(0, 80)}.eml`, type: "message/rfc822", size: mail.size }]);
		this.editor.put("");
		this.changed();
	}

	private get everybody(): Address[] {
		return [...this.to.addresses, ...this.cc.addresses, ...this.bcc.addresses];
	}

	private people(quiet = false): void {
		this.security.show(this.everybody.map((a) => a.email).filter(isAddress));
		if (!quiet) this.changed();
	}

	private written(): Written {
		const id = this.identities.find((i) => i.id === this.from.value) ?? this.b.identity;
		const good = (r: Recipients) => r.addresses.filter((a) => isAddress(a.email));
		return { identity: id, to: good(this.to), cc: good(this.cc), bcc: good(this.bcc), subject: this.subject.value, text: this.editor.text, html: this.editor.html, files: [...this.files.all], inReplyTo: this.b.inReplyTo, references: this.b.references };
	}

	private changed(): void {
		localStorage.setItem("waxwing-design", this.editor.designed ? "yes" : "no");
		window.clearTimeout(this.timer);
		this.timer = window.setTimeout(() => void this.save(), saveAfter);
	}

	// save keeps the draft, where it has changed.
	private async save(): Promise<void> {
		window.clearTimeout(this.timer);
		const w = this.written();
		if (this.over || !this.drafts.differs(w)) return;
		const saved = await this.drafts.save(w);
		if (!saved.ok) {
			fill(this.status, t.unsaved);
			if (!this.over) this.timer = window.setTimeout(() => void this.save(), 5 * saveAfter);
		} else if (saved.conflict) {
			fill(this.status, h("span", { class: "tone-waits" }, t.conflict));
		} else {
			fill(this.status, t.saved(new Date().toLocaleTimeString()));
		}
		this.app.refresh();
	}

	async close(): Promise<void> {
		for (const r of [this.to, this.cc, this.bcc]) r.take();
		await this.save();
		this.end();
	}

	private end(): void {
		this.over = true;
		window.clearTimeout(this.timer);
		removeEventListener("pagehide", this.hiding);
		document.body.classList.remove("composing");
		this.element.remove();
		if (open === this) open = null;
		if (this.before instanceof HTMLElement && this.before.isConnected) this.before.focus();
	}

	private async discard(): Promise<void> {
		if (this.drafts.id && !(await ask(t.sureDiscard, t.discard, t.goOn))) return;
		this.over = true;
		window.clearTimeout(this.timer);
		try {
			await this.drafts.discard();
		} catch (e) {
			this.app.failed(e);
		}
		this.end();
		this.app.refresh();
	}

	// doubts asks about what people forget; it is false where the writer goes on writing.
	private async doubts(w: Written): Promise<boolean> {
		const all: string[] = [];
		if (!w.subject.trim()) all.push(t.noSubject);
		if (!w.files.length && mentions(w.text)) all.push(t.missing);
		const was = this.draft.of && this.draft.action !== "edit" ? this.b.identity : null;
		if (was && w.identity && was.email !== w.identity.email && [...(this.draft.of?.to ?? []), ...(this.draft.of?.cc ?? [])].some((a) => a.email.toLowerCase() === was.email.toLowerCase())) all.push(t.otherIdentity(w.identity.email, was.email));
		for (const q of all) {
			if (!(await ask(q, t.sendAnyway, t.goOn))) return false;
		}
		return true;
	}

	private refuse(text: string, at: HTMLElement): void {
		fill(this.status, h("span", { class: "tone-bad" }, text));
		at.focus();
	}

	private async send(): Promise<void> {
		for (const r of [this.to, this.cc, this.bcc]) r.take();
		const bad = [...this.to.bad, ...this.cc.bad, ...this.bcc.bad][0];
		if (bad) return this.refuse(t.invalid(bad), this.to.input);
		if (!this.everybody.length) return this.refuse(t.noRecipients, this.to.input);
		if (this.files.busy) return this.refuse(t.stillUploading, this.element);
		const w = this.written();
		const at = this.later.value ? new Date(this.later.value) : null;
		const days = Math.floor(Number(this.app.client.session.accounts[this.app.client.accountId]?.accountCapabilities["urn:ietf:params:jmap:submission"]?.maxDelayedSend ?? 0) / 86_400);
		if (at && at.getTime() - Date.now() > days * 86_400_000) return this.refuse(t.tooLate(days), this.later);
		if (this.over || !(await this.doubts(w))) return;
		this.over = true;
		window.clearTimeout(this.timer);
		fill(this.status, t.sending);
		const how: How = { choice: this.security.choice, notice: this.notice.checked, at: at && at.getTime() > Date.now() ? at : null, undo: undoSeconds(), answered: this.b.answered };
		try {
			const s = await submit(this.app, this.drafts, w, how);
			this.end();
			this.sent(s, how);
		} catch (e) {
			this.over = false;
			this.refuse(t.failed(e instanceof Error ? e.message : String(e)), this.element);
		}
		this.app.refresh();
	}

	private sent(s: Awaited<ReturnType<typeof submit>>, how: How): void {
		const { app } = this;
		if (!how.at && !how.undo) {
			app.notice({ text: t.sent(0), act: { label: texts.travel.where, run: () => app.go(`/mail/sent/${s.thread}`) } });
			return;
		}
		const run = async () => {
			try {
				if (!(await cancel(app, s))) return;
				const got = await app.client.call("Email/get", { ids: [s.email], properties: null, fetchTextBodyValues: true });
				app.notice({ text: t.undone });
				if (got.list[0]) openCompose(app, { action: "edit", of: got.list[0] as Email });
			} catch (e) {
				app.failed(e);
			}
			app.refresh();
		};
		app.notice({ text: how.at ? t.scheduled(long(how.at.toISOString())) : t.sent(how.undo), seconds: how.at ? 20 : how.undo, act: { label: texts.undo, run: () => void run() } });
	}
}

