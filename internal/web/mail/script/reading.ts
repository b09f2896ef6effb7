// The reading pane: a thread, its newest and its unread mails unfolded, each with what is known of who sent it.

import { App } from "./app";
import { Call, MethodError } from "./jmap";
import { Email, Part, Travel } from "./types";
import { add, button, Child, fill, h, icon } from "./dom";
import { long, people, short, size, who, whole } from "./dates";
import { flow, written } from "./body";
import { decide, Verdict } from "./received";
import { beside, explained } from "./bounce";
import { canAnswer, Invited, isInvitation } from "./invited";
import { Sent, sentProof } from "./proof";
import { canLeave, leave, left } from "./unsubscribe";
import { texts } from "./texts";

const asked = ["id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo",
	"subject", "sentAt", "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments",
	"header:List-Unsubscribe:asURLs", "header:List-Unsubscribe-Post:asText", "header:List-Id:asText", "header:Received:asRaw:all"];
const ofParts = ["partId", "blobId", "size", "name", "type", "charset", "disposition", "cid"];
const shown = /^(image\/(png|jpeg|gif|webp)|application\/pdf)$/i; // what the server shows as it is
const mostText = 200_000; // octets of a text that are loaded at once

// letter is where the server has a mail as a document of its own (package letter).
export function letter(id: string, kind: "html" | "print" | "raw" | "zip" | "facts" | "part", more = ""): string {
	return `/mail/letter/${encodeURIComponent(id)}/${kind}${more}`;
}

export interface Reader {
	app: App;
	drafted(mail: Email): void; // go on writing
	answer(kind: "reply" | "replyAll" | "forward", mail: Email): void;
	seen(mails: Email[]): void; // they are being read
	buttons(mail: Email): Child[]; // further acts on one mail
	loaded(): void;
	keep(key: string, value: unknown): void;
	kept(key: string): Promise<unknown>;
}

interface Card {
	mail: Email;
	element: HTMLElement;
	open: boolean;
	redraw?: (() => void)[]; // what in it depends on keywords
}

export class Reading {
	readonly element = h("div", { class: "letterpane" });
	private readonly title = h("h2", { class: "title", dir: "auto", tabindex: "-1" });
	private readonly body = h("div", { class: "cards" });
	private cards: Card[] = [];
	private travels = new Map<string, Travel>();
	private generation = 0;
	thread: string | null = null;

	constructor(private readonly to: Reader) {
		this.close();
	}

	get mails(): Email[] {
		return this.cards.map((c) => c.mail);
	}

	// newest is the mail that is answered when nobody says which: the last one that is no draft.
	get newest(): Email | undefined {
		const all = this.mails.filter((m) => !m.keywords.$draft);
		return all[all.length - 1];
	}

	close(): void {
		this.generation++;
		this.thread = null;
		this.cards = [];
		fill(this.element, h("div", { class: "nothing" }, h("h2", {}, texts.nothingOpen), h("p", {}, texts.nothingOpenHint)));
	}

	focus(): void {
		this.title.focus({ preventScroll: true });
	}

	private calls(thread: string): Call[] {
		return [
			["Thread/get", { ids: [thread] }],
			["Email/get", { "#ids": { resultOf: "0", name: "Thread/get", path: "/list/*/emailIds" }, properties: asked, bodyProperties: ofParts, fetchTextBodyValues: true, maxBodyValueBytes: mostText }],
		];
	}

	// show opens a thread; only is the one mail that somebody looked for.
	async show(thread: string, only: string | null): Promise<void> {
		const generation = ++this.generation;
		this.thread = thread;
		const slow = window.setTimeout(() => {
			if (generation === this.generation) fill(this.element, h("p", { class: "none", role: "status" }, texts.loading));
		}, 150);
		try {
			const mails = await this.fetch(thread);
			if (generation !== this.generation) return;
			window.clearTimeout(slow);
			if (!mails.length) {
				fill(this.element, h("p", { class: "none" }, texts.gone));
				return;
			}
			this.unfold(mails, only);
			this.to.loaded();
			void this.travelled(generation);
		} catch (e) {
			window.clearTimeout(slow);
			if (generation !== this.generation) return;
			fill(this.element, h("p", { class: "none" }, texts.threadFailed));
			this.to.app.failed(e);
		}
	}

	private async fetch(thread: string): Promise<Email[]> {
		const key = "thread " + thread;
		try {
			const [, got] = await this.to.app.client.batch(this.calls(thread));
			const mails = (got.list as Email[]).sort((a, b) => a.receivedAt.localeCompare(b.receivedAt) || a.id.localeCompare(b.id));
			this.to.keep(key, mails);
			return mails;
		} catch (e) {
			const kept = (await this.to.kept(key)) as Email[] | undefined;
			if (!kept || e instanceof MethodError) throw e;
			this.to.app.failed(e);
			return kept;
		}
	}

	private unfold(mails: Email[], only: string | null): void {
		const last = mails[mails.length - 1];
		this.cards = mails.map((mail) => ({ mail, element: h("article", { class: "card mail" }), open: only ? mail.id === only : mail === last || !mail.keywords.$seen }));
		fill(this.title, mails[0].subject || texts.noSubject);
		document.title = `${mails[0].subject || texts.noSubject} · ${texts.name}`;
		fill(this.body, this.cards.map((c) => c.element));
		for (const c of this.cards) this.paint(c);
		fill(this.element, this.title, this.body);
		this.element.scrollTop = 0;
		const first = this.cards.find((c) => c.open);
		if (first && first !== this.cards[0]) first.element.scrollIntoView({ block: "start" });
		this.to.seen(this.cards.filter((c) => c.open).map((c) => c.mail));
	}

	// refresh looks whether the thread has changed; what was unfolded stays so.
	async refresh(): Promise<void> {
		if (!this.thread || !this.cards.length) return;
		const generation = this.generation;
		const [threads, got] = await this.to.app.client.batch([["Thread/get", { ids: [this.thread] }],
			["Email/get", { "#ids": { resultOf: "0", name: "Thread/get", path: "/list/*/emailIds" }, properties: ["id", "keywords", "mailboxIds"] }]]);
		if (generation !== this.generation) return;
		const ids: string[] = threads.list[0]?.emailIds ?? [];
		const known = new Map(this.cards.map((c) => [c.mail.id, c]));
		if (ids.length !== known.size || ids.some((id) => !known.has(id))) {
			const open = new Set(this.cards.filter((c) => c.open).map((c) => c.mail.id));
			const mails = await this.fetch(this.thread);
			if (generation !== this.generation || !mails.length) return;
			this.cards = mails.map((mail) => known.get(mail.id) ?? { mail, element: h("article", { class: "card mail" }), open: true });
			for (const c of this.cards) {
				if (known.has(c.mail.id)) continue;
				this.paint(c);
				open.add(c.mail.id);
			}
			fill(this.body, this.cards.map((c) => c.element));
			this.to.seen(this.cards.filter((c) => c.open && !known.has(c.mail.id)).map((c) => c.mail));
			void this.travelled(generation);
		}
		for (const m of got.list as Email[]) {
			const c = known.get(m.id);
			if (c) Object.assign(c.mail, { keywords: m.keywords, mailboxIds: m.mailboxIds });
		}
		this.changed();
		void this.travelled(generation, true);
	}

	// changed draws anew what depends on keywords and mailboxes.
	changed(): void {
		for (const c of this.cards) {
			const marks = c.element.querySelector(".marks");
			if (marks) fill(marks, this.marks(c.mail));
			const acts = c.element.querySelector(".more-acts");
			if (acts && !acts.contains(document.activeElement)) fill(acts, this.to.buttons(c.mail));
			for (const draw of c.redraw ?? []) draw();
		}
	}

	// travelled asks how the mails came and went; sent ones again, for they may still be on their way.
	private async travelled(generation: number, again = false): Promise<void> {
		const ids = this.mails.map((m) => m.id).filter((id) => !this.travels.has(id) || (again && this.travels.get(id)?.sent)).slice(-50);
		if (!ids.length || !this.to.app.client.has("urn:waxwing:params:jmap:travel")) return;
		try {
			const r = await this.to.app.client.call("Travel/get", { ids });
			for (const one of r.list as Travel[]) this.travels.set(one.id, one);
		} catch {
			return; // the mail is there all the same; its mark says that nothing is known
		}
		if (generation !== this.generation) return;
		for (const c of this.cards) {
			if (!c.open || !(ids.includes(c.mail.id) || this.travels.get(c.mail.id)?.sent)) continue;
			this.prove(c);
		}
	}

	// prove shows what is known of how a mail travelled; of a notice, what it says, with its own text behind that.
	private prove(c: Card): void {
		const place = c.element.querySelector(".proof");
		if (!place) return;
		fill(place, this.proof(c.mail));
		const body = c.element.querySelector(":scope > .body");
		if (!body || !this.travels.get(c.mail.id)?.notice) return;
		const d = h("details", { class: "original" }, h("summary", {}, texts.asItCame));
		body.replaceWith(d);
		d.append(body);
	}

	private paint(c: Card): void {
		c.element.classList.toggle("folded", !c.open);
		fill(c.element, this.head(c), c.open ? this.content(c) : null);
	}

	private head(c: Card): HTMLElement {
		const m = c.mail;
		const from = m.from?.[0];
		const name = from ? who(from) : texts.nobody;
		const fold = h("button", { type: "button", class: "plain opener", "aria-expanded": String(c.open), on: { click: () => this.toggle(c) } },
			h("bdi", { class: "sender" }, name), c.open ? null : h("span", { class: "preview", dir: "auto" }, m.preview));
		return h("header", {}, fold, h("span", { class: "marks" }, this.marks(m)), h("time", { datetime: m.receivedAt, title: long(m.receivedAt) }, c.open ? long(m.receivedAt) : short(m.receivedAt)));
	}

	private marks(m: Email): Child[] {
		return [m.keywords.$flagged ? h("span", { class: "mark flagged" }, icon("flag"), h("span", { class: "hidden" }, texts.flagged)) : null,
			m.keywords.$answered ? h("span", { class: "mark" }, icon("reply"), h("span", { class: "hidden" }, texts.answered)) : null];
	}

	private toggle(c: Card): void {
		c.open = !c.open;
		this.paint(c);
		c.element.querySelector<HTMLElement>("button.opener")?.focus();
		if (c.open) {
			this.to.seen([c.mail]);
			this.prove(c);
		}
	}

	// reveal unfolds a mail and goes there.
	private reveal(c: Card): void {
		if (!c.open) this.toggle(c);
		c.element.scrollIntoView({ block: "start" });
		c.element.querySelector<HTMLElement>("button.opener")?.focus({ preventScroll: true });
	}

	private content(c: Card): Child[] {
		const m = c.mail;
		c.redraw = [];
		const files = m.attachments.filter((p) => !(p.cid && p.disposition !== "attachment" && /^image\//.test(p.type) && isHTML(m)));
		return [
			h("dl", { class: "people" }, ([["from", m.from], ["to", m.to], ["cc", m.cc], ["bcc", m.bcc], ["replyTo", m.replyTo]] as const).map(([name, all]) =>
				all?.length && !(name === "replyTo" && people([all], new Set()) === people([m.from], new Set())) ? [h("dt", {}, texts[name]), h("dd", {}, all.map((a, i) => [i ? ", " : "", h("bdi", {}, whole(a))]))] : null)),
			h("div", { class: "proof" }, this.proof(m)),
			this.acts(c),
			this.invitation(c),
			this.text(m),
			files.length ? this.files(m, files) : null,
		];
	}

	private invitation(c: Card): Child {
		if (!isInvitation(c.mail) || !this.to.app.client.has(canAnswer)) return null;
		const i = new Invited(this.to.app, c.mail);
		c.redraw?.push(() => i.draw());
		return i.element;
	}

	// leaving is the way out of a list, or that it was taken.
	private leaving(c: Card): Child {
		const m = c.mail;
		if (!m["header:List-Unsubscribe:asURLs"]?.length || m.keywords.$draft || !this.to.app.client.has(canLeave)) return null;
		const place = h("span", { class: "leaving" });
		const draw = () => fill(place, m.keywords[left] ? h("span", { class: "help" }, texts.unsubscribed) : button(texts.unsubscribe, () => void leave(this.to.app, m).then((done) => { if (done) draw(); })));
		c.redraw?.push(() => { if (!place.contains(document.activeElement)) draw(); });
		draw();
		return place;
	}

	private acts(c: Card): HTMLElement {
		const m = c.mail;
		const { drafted, answer, buttons } = this.to;
		return h("div", { class: "acts" }, m.keywords.$draft ? button(texts.edit, () => drafted(m), { icon: "pen" }) : [
			button(texts.reply, () => answer("reply", m), { icon: "reply" }),
			(m.to?.length ?? 0) + (m.cc?.length ?? 0) > 1 ? button(texts.replyAll, () => answer("replyAll", m), { icon: "replyAll" }) : null,
			button(texts.forward, () => answer("forward", m), { icon: "forward" }), this.leaving(c)],
		h("span", { class: "more-acts" }, buttons(m)), this.more(m));
	}

	// more is what is done seldom.
	private more(m: Email): HTMLElement {
		const link = (label: string, href: string, extra: Record<string, unknown> = {}) => h("li", {}, h("a", { href, ...extra }, label));
		const apart = { target: "_blank", rel: "noopener" };
		return h("details", { class: "menu" }, h("summary", { "aria-label": texts.more, title: texts.more }, icon("more")), h("ul", {},
			link(texts.print, letter(m.id, "print"), apart),
			link(texts.source, letter(m.id, "raw"), apart),
			link(texts.download, this.to.app.client.downloadURL(m.blobId, (m.subject || "mail").replace(/[/\\]/g, " ").slice(0, 80) + ".eml", "message/rfc822"), { download: "" })));
	}

	private proof(m: Email): Child[] {
		const t = this.travels.get(m.id);
		if (!t) return [];
		const sent = t.sent ? sentProof(this.to.app, t.sent, m.id) : null;
		const v = decide(m, t.received, this.to.app.own);
		return [t.received ? verdict(v) : null, t.notice ? explained(t.notice, this.about(t.notice.about)) : null, sent, this.notices(m, t.sent as Sent | null)];
	}

	// about shows the mail that a notice is about; null: it is not of this thread.
	private about(id: string): (() => void) | null {
		const c = id ? this.cards.find((x) => x.mail.messageId?.includes(id)) : undefined;
		return c ? () => this.reveal(c) : null;
	}

	// notices are those of this thread about a mail.
	private notices(m: Email, sent: Sent | null): Child[] {
		const known = new Set((sent?.recipients ?? []).filter((r) => r.state === "failed" || r.state === "waiting").map((r) => r.recipient.toLowerCase()));
		return this.cards.map((c) => {
			const n = this.travels.get(c.mail.id)?.notice;
			return n && c.mail !== m && m.messageId?.includes(n.about) ? beside(n, c.mail.receivedAt, known, () => this.reveal(c)) : null;
		});
	}

	private text(m: Email): HTMLElement {
		const place = h("div", { class: "body" });
		if (isHTML(m) && localStorage.getItem("waxwing-plain") !== "yes") this.designed(m, place, false);
		else this.plain(m, place);
		return place;
	}

	private plain(m: Email, place: HTMLElement): void {
		const parts = m.textBody.filter((p) => p.partId && m.bodyValues[p.partId] && /^text\/(?!html)/.test(p.type));
		const text = parts.map((p) => {
			const v = m.bodyValues[p.partId as string];
			return [written(flow(v.value, false)), v.isTruncated ? h("p", { class: "help" }, texts.truncated, " ", h("a", { href: this.to.app.client.downloadURL(p.blobId ?? "", "text.txt", "text/plain"), download: "" }, texts.wholeText)) : null];
		});
		fill(place, parts.length ? text : isHTML(m) ? null : h("p", { class: "none" }, texts.emptyBody));
		if (isHTML(m)) {
			if (!parts.length) this.designed(m, place, false);
			else place.prepend(button(texts.asHTML, () => this.prefer(m, place, false), { class: "plain" }));
		}
	}

	// designed shows a mail's HTML, as the server cleans it, in a frame that can do nothing. What it would load from
	// elsewhere is loaded when its reader wants it: for this mail, or always for what its sender is proven to send.
	private designed(m: Email, place: HTMLElement, remote: boolean): void {
		const hasText = m.textBody.some((p) => /^text\/plain/.test(p.type));
		const choices = h("div", { class: "choices" }, hasText ? button(texts.asText, () => this.prefer(m, place, true), { class: "plain" }) : null);
		fill(place, choices, h("iframe", { class: "letter", sandbox: "allow-popups allow-popups-to-escape-sandbox", referrerpolicy: "no-referrer", title: texts.letterTitle(m.subject || texts.noSubject), src: letter(m.id, "html", remote ? "?images=yes" : "") }));
		if (!remote) void this.askImages(m, place, choices);
	}

	private async askImages(m: Email, place: HTMLElement, choices: HTMLElement): Promise<void> {
		let facts: { remote: number; hosts: string[] };
		try {
			facts = await (await fetch(letter(m.id, "facts"), { credentials: "same-origin" })).json();
		} catch {
			return; // the mail is shown without
		}
		const from = m.from?.[0]?.email.toLowerCase() ?? "";
		if (!facts.remote || !choices.isConnected) return;
		if (trusted().has(from) && decide(m, this.travels.get(m.id)?.received ?? null, this.to.app.own).tone === "good") {
			this.designed(m, place, true);
			return;
		}
		const hosts = facts.hosts.slice(0, 3).join(", ") + (facts.hosts.length > 3 ? " …" : "");
		choices.prepend(button(texts.withImages(facts.remote, hosts), () => this.designed(m, place, true), { class: "plain", title: texts.imagesHint }),
			button(texts.alwaysImages(from), () => {
				trust(from);
				this.designed(m, place, true);
			}, { class: "plain" }));
	}

	private prefer(m: Email, place: HTMLElement, plain: boolean): void {
		localStorage.setItem("waxwing-plain", plain ? "yes" : "no");
		if (plain) this.plain(m, place);
		else this.designed(m, place, false);
	}

	// inner shows a mail that is attached to this one, as it would be printed: in a frame that can do nothing.
	private inner(blob: string, name: string): HTMLElement {
		const d: HTMLDetailsElement = h("details", { class: "inner", on: { toggle: () => {
			if (d.open && d.childElementCount === 1) d.append(h("iframe", { class: "letter", sandbox: "allow-popups allow-popups-to-escape-sandbox", referrerpolicy: "no-referrer", title: texts.letterTitle(name), src: letter(blob, "print") }));
		} } }, h("summary", {}, texts.attachedMail));
		return d;
	}

	private files(m: Email, files: Part[]): HTMLElement {
		const client = this.to.app.client;
		const one = (p: Part) => {
			const name = p.name || p.type;
			const file = client.downloadURL(p.blobId ?? "", p.name ?? "file", p.type);
			const seen = shown.test(p.type) && p.partId ? letter(m.id, "part", "/" + encodeURIComponent(p.partId)) : null;
			return h("li", {}, h("a", seen ? { href: seen, target: "_blank", rel: "noopener" } : { href: file, download: p.name ?? "file" }, icon("clip"), h("bdi", { class: "file" }, name), h("span", { class: "help" }, size(p.size))),
				/^message\/rfc822$/i.test(p.type) && p.blobId ? this.inner(p.blobId, name) : null,
				seen ? h("a", { href: file, download: p.name ?? "file", "aria-label": texts.keepFile(name), title: texts.keepFile(name) }, icon("down")) : null);
		};
		return h("section", { class: "files", "aria-label": texts.attachments(files.length) }, h("h3", {}, texts.attachments(files.length)), h("ul", {}, files.map(one)),
		files.length > 1 ? h("p", {}, h("a", { href: letter(m.id, "zip"), download: "" }, icon("down"), texts.allAsZip)) : null);
	}
}

function isHTML(m: Email): boolean {
	return m.htmlBody.some((p) => p.type === "text/html");
}

// verdict is one mark, and what it rests on for those who want to know.
function verdict(v: Verdict): HTMLElement {
	const mark = h("span", { class: v.tone ? "tone-" + v.tone : "" }, v.says);
	const all = h("details", { class: "verdict " + v.tone }, h("summary", {}, mark), h("ul", { class: "lines" }, v.lines.map((l) => h("li", {}, l.tone ? h("span", { class: "tone-" + l.tone }, l.text) : l.text))));
	const box = h("div", {});
	add(box, [v.warnings.map((w) => h("p", { class: "notice waits" }, h("span", { class: "tone-waits" }, w))), all]);
	return box;
}

// Senders whose remote images are loaded.
const images = "waxwing-images-of";

function trusted(): Set<string> {
	return new Set((localStorage.getItem(images) ?? "").split(" "));
}

function trust(address: string): void {
	localStorage.setItem(images, [...trusted(), address].filter(Boolean).slice(-500).join(" "));
}
