// Notices about sent mails (MAIL-6): that one was not delivered, or waits. What the notice says to programs is put into plain words
// by the server; it stands here with what helps, and beside the mail that it is about.

import { Child, h } from "./dom";
import { long } from "./dates";
import { texts } from "./texts";
import { Notice_ } from "./types";

const t = texts.travel;

const tones: Record<string, string> = { failed: "bad", delayed: "waits", delivered: "good", relayed: "good", expanded: "good" };

// noticed is what it says of each recipient.
export function noticed(n: Notice_): HTMLElement {
	return h("ul", { class: "places" }, n.recipients.map((r) => h("li", { data: { recipient: r.address, action: r.action } },
		h("p", {}, h("span", { class: "who" }, t.to(r.address)), " ", h("span", { class: "tone-" + (tones[r.action] ?? "waits") }, t.actions[r.action] ?? r.action)),
		r.meaning ? h("p", {}, r.meaning) : null,
		r.cure ? h("p", {}, t.what(r.cure)) : null,
		r.reply ? h("p", { class: "help" }, r.host ? t.answerOf(r.host, r.reply) : t.answer(r.reply), r.status ? ` (${r.status})` : "") : null,
		r.until ? h("p", { class: "help" }, t.until(long(r.until))) : null)), n.more ? h("li", {}, "…") : null);
}

// explained stands above a mail that is a notice.
export function explained(n: Notice_, show: (() => void) | null): HTMLElement {
	return h("div", { class: "travel bounce", role: "group", "aria-label": t.notice }, h("h3", {}, t.notice), noticed(n),
		show ? h("p", {}, h("button", { type: "button", class: "plain", on: { click: show } }, t.noticeAbout)) : null,
		n.by ? h("p", { class: "help" }, t.noticeBy(n.by)) : null);
}

// beside stands with the mail that a notice is about. known are the recipients of whom the mail's own proof tells more.
export function beside(n: Notice_, came: string, known: Set<string>, show: () => void): Child {
	const news = { ...n, recipients: n.recipients.filter((r) => !known.has(r.address.toLowerCase())) };
	return h("div", { class: "travel bounce", role: "group", "aria-label": t.notice }, h("p", {}, t.noticeCame(long(came)), " ", h("button", { type: "button", class: "plain", on: { click: show } }, t.noticeShow)), news.recipients.length ? noticed(news) : null);
}
