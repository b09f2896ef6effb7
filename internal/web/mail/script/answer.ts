// What composing begins with: an answer, a mail that is handed on, a draft.

import { App, Draft } from "./app";
import { Address, Email } from "./types";
import { Attached } from "./files";
import { Identity } from "./drafts";
import { Line, quoted, without } from "./flowed";
import { build, Node_, paragraphs } from "./editor";
import { h } from "./dom";
import { long, who, whole } from "./dates";
import { texts } from "./texts";

const t = texts.compose;

// Begin is what stands in a composer when it opens.
export interface Begin {
	identity: Identity | null;
	to: Address[];
	cc: Address[];
	bcc: Address[];
	subject: string;
	text: string;
	designed: Node[] | null;
	files: Attached[];
	inReplyTo: string[] | null;
	references: string[] | null;
	toList: boolean;
	answered: { id: string; keyword: string } | null;
}

interface Quote {
	html: Node_[];
	text: Line[];
}

// quoteOf is what the server has made of a mail for an answer: no script, no address from which anything is loaded.
async function quoteOf(mail: Email): Promise<Quote> {
	const r = await fetch(`/mail/letter/${encodeURIComponent(mail.id)}/quote`, { credentials: "same-origin", redirect: "error" });
	if (!r.ok) throw new Error(`quote: ${r.status}`);
	return r.json();
}

export function chosen(identities: Identity[], of: Email | undefined, user: string): Identity | null {
	const got = new Set([...(of?.to ?? []), ...(of?.cc ?? []), ...(of?.from ?? [])].map((a) => a.email.toLowerCase()));
	return identities.find((i) => got.has(i.email.toLowerCase())) ?? identities.find((i) => i.email.toLowerCase() === user.toLowerCase()) ?? identities[0] ?? null;
}

// receivers are those who get an answer.
export function receivers(mail: Email, all: boolean, own: Set<string>): { to: Address[]; cc: Address[] } {
	const mine = (a: Address) => own.has(a.email.toLowerCase());
	const by = mail.replyTo?.length ? mail.replyTo : (mail.from ?? []);
	const first = by.every(mine) && mail.to?.length ? mail.to : by;
	if (!all) return { to: first, cc: [] };
	const seen = new Set(first.map((a) => a.email.toLowerCase()));
	const rest = (some: Address[] | null) => (some ?? []).filter((a) => !mine(a) && !seen.has(a.email.toLowerCase()) && seen.add(a.email.toLowerCase()));
	return { to: [...first, ...rest(mail.to)], cc: rest(mail.cc) };
}

export function subjectOf(mail: Email, prefix: "Re" | "Fwd"): string {
	const s = mail.subject ?? "";
	const has = prefix === "Re" ? /^(?:re|aw|sv|antw)\s*:/i : /^(?:fwd?|wg)\s*:/i;
	return has.test(s) ? s : `${prefix}: ${s}`;
}

const signed = (i: Identity | null) => (i?.textSignature ? `\n\n-- \n${i.textSignature}` : "");

export async function begin(app: App, draft: Draft, identities: Identity[]): Promise<Begin> {
	const mail = draft.of;
	const identity = chosen(identities, mail, app.client.session.username);
	const empty: Begin = { identity, to: draft.to ?? [], cc: draft.cc ?? [], bcc: draft.bcc ?? [], subject: draft.subject ?? "", text: (draft.text ?? "") + signed(identity), designed: null, files: [], inReplyTo: null, references: null, toList: false, answered: null };
	if (!mail || draft.action === "new") return empty;
	let q: Quote = { html: [], text: [] };
	try {
		q = await quoteOf(mail);
	} catch (e) {
		app.failed(e);
	}
	if (draft.action === "edit") return edited(mail, q, identities, empty);
	if (draft.action === "forward") return handedOn(mail, q, empty);
	const head = t.wrote(mail.sentAt || mail.receivedAt ? long(mail.sentAt ?? mail.receivedAt) : "", mail.from?.[0] ? who(mail.from[0]) : "?");
	return {
		...empty, ...receivers(mail, draft.action === "replyAll", app.own), subject: subjectOf(mail, "Re"),
		text: `${signed(identity)}\n\n${head}\n${quoted(q.text)}`,
		designed: prefersDesign() ? [h("p", {}, h("br")), ...paragraphs(signed(identity).trim()), h("p", {}, head), h("blockquote", {}, build(q.html))] : null,
		inReplyTo: mail.messageId, references: [...(mail.references ?? mail.inReplyTo ?? []), ...(mail.messageId ?? [])],
		toList: Boolean(mail["header:List-Id:asText"]), answered: { id: mail.id, keyword: "$answered" },
	};
}

function prefersDesign(): boolean {
	return localStorage.getItem("waxwing-design") === "yes";
}

function attachedTo(mail: Email): Attached[] {
	return mail.attachments.filter((p) => p.blobId).map((p) => ({ blobId: p.blobId as string, name: p.name ?? "file", type: p.type, size: p.size }));
}

function lines(all: Line[]): string {
	return without(all.map((l) => (l.Depth ? ">".repeat(l.Depth) + " " : "") + l.Text).join("\n"), "\n");
}

function edited(mail: Email, q: Quote, identities: Identity[], empty: Begin): Begin {
	const html = mail.htmlBody.some((p) => p.type === "text/html");
	const from = mail.from?.[0]?.email.toLowerCase();
	return {
		...empty, identity: identities.find((i) => i.email.toLowerCase() === from) ?? empty.identity, to: mail.to ?? [], cc: mail.cc ?? [], bcc: mail.bcc ?? [], subject: mail.subject ?? "",
		text: lines(q.text), designed: html ? build(q.html) : null, files: attachedTo(mail), inReplyTo: mail.inReplyTo, references: mail.references,
	};
}

function handedOn(mail: Email, q: Quote, empty: Begin): Begin {
	const people = (all: Address[] | null) => (all ?? []).map(whole).join(", ");
	const head = [t.forwarded, `${texts.from}: ${people(mail.from)}`, `${t.date}: ${long(mail.sentAt ?? mail.receivedAt)}`, `${t.subject}: ${mail.subject ?? ""}`, `${texts.to}: ${people(mail.to)}`];
	return {
		...empty, subject: subjectOf(mail, "Fwd"), text: `${signed(empty.identity)}\n\n${head.join("\n")}\n\n${lines(q.text)}`,
		designed: prefersDesign() ? [h("p", {}, h("br")), ...paragraphs(head.join("\n")), ...build(q.html)] : null,
		files: attachedTo(mail), references: [...(mail.references ?? []), ...(mail.messageId ?? [])], answered: { id: mail.id, keyword: "$forwarded" },
	};
}
