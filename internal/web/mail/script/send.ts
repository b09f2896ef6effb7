// Sending, and taking it back.

import { App } from "./app";
import { Choice } from "./bars";
import { Drafts, Identity, record, Written } from "./drafts";
import { texts } from "./texts";

const t = texts.compose;

export interface How {
	choice: Choice;
	notice: boolean; // of delivery
	at: Date | null; // null: now
	undo: number; // seconds
	answered: { id: string; keyword: string } | null;
}

export interface Submitted {
	id: string;
	email: string;
	thread: string;
}

// undoSeconds is how long a mail waits before it goes, so that it can be taken back.
export function undoSeconds(): number {
	const n = Number(localStorage.getItem("waxwing-undo") ?? "10");
	return n >= 0 && n <= 120 ? n : 10;
}

// submit hands a mail in. It becomes a sent one with that, in one request; where it is refused, it stays a draft.
export async function submit(app: App, drafts: Drafts, w: Written, how: How): Promise<Submitted> {
	await drafts.settled();
	const [from, old] = [drafts.mailbox, drafts.id];
	const hold: Record<string, string> = how.at ? { HOLDUNTIL: how.at.toISOString().replace(/\.\d+Z$/, "Z") } : how.undo ? { HOLDFOR: String(how.undo) } : {};
	const emails = [...new Map([...w.to, ...w.cc, ...w.bcc].map((a) => [a.email.toLowerCase(), a.email])).values()];
	const rcptTo = emails.map((email) => ({ email, parameters: how.notice ? { NOTIFY: "SUCCESS,FAILURE,DELAY" } : null }));
	const results = await app.client.settled([
		["Email/set", { create: { m: record(w, from) } }],
		["EmailSubmission/set", {
			create: { s: { identityId: w.identity?.id, emailId: "#m", envelope: { mailFrom: { email: w.identity?.email, parameters: Object.keys(hold).length ? hold : null }, rcptTo }, requireTls: how.choice === "require", tlsOptional: how.choice === "optional" } },
			onSuccessUpdateEmail: { "#s": moved(app, from) },
		}],
	]);
	const made = results[0].created?.m;
	const sent = results[1].created?.s;
	if (made) drafts.id = made.id;
	const also: { update?: Record<string, unknown>; destroy?: string[] } = {};
	if (made && old) also.destroy = [old];
	if (sent && how.answered) also.update = { [how.answered.id]: { [`keywords/${how.answered.keyword}`]: true } };
	if (also.destroy || also.update) await app.client.settled([["Email/set", also]]);
	if (sent) return { id: sent.id, email: made.id, thread: sent.threadId };
	throw new Error(why(results));
}

// moved is what a draft becomes when it was handed in.
function moved(app: App, from: string): Record<string, unknown> {
	const to = app.role("sent")?.id;
	return { "keywords/$draft": null, ...(to ? { [`mailboxIds/${from}`]: null, [`mailboxIds/${to}`]: true } : {}) };
}

// Handed is a mail that nobody has written as a draft.
export interface Handed {
	mail: Record<string, unknown>; // but for where it lies
	identity: Identity;
	to: { email: string; parameters: Record<string, string> | null }[];
	hold: Record<string, string> | null;
}

// hand hands it in; where it is refused, nothing of it stays.
export async function hand(app: App, x: Handed): Promise<Submitted> {
	const drafts = app.role("drafts")?.id;
	if (!drafts) throw new Error(t.noMailbox);
	const results = await app.client.settled([
		["Email/set", { create: { m: { ...x.mail, mailboxIds: { [drafts]: true }, keywords: { $draft: true, $seen: true } } } }],
		["EmailSubmission/set", { create: { s: { identityId: x.identity.id, emailId: "#m", envelope: { mailFrom: { email: x.identity.email, parameters: x.hold }, rcptTo: x.to } } }, onSuccessUpdateEmail: { "#s": moved(app, drafts) } }],
	]);
	const [made, sent] = [results[0].created?.m, results[1].created?.s];
	if (sent) return { id: sent.id, email: made.id, thread: sent.threadId };
	if (made) await app.client.settled([["Email/set", { destroy: [made.id] }]]);
	throw new Error(why(results));
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
function why(results: any[]): string {
	for (const r of results) {
		if (r instanceof Error) return r.message;
		for (const no of Object.values(r.notCreated ?? {}) as { type: string; description?: string }[]) return no.description ?? no.type;
	}
	return "";
}

// cancel takes a mail back that has not gone yet, and makes it a draft again.
export async function cancel(app: App, s: Submitted): Promise<boolean> {
	const r = await app.client.call("EmailSubmission/set", { update: { [s.id]: { undoStatus: "canceled" } } });
	if (!r.updated || !(s.id in r.updated)) {
		app.notice({ text: t.undoTooLate, bad: true });
		return false;
	}
	const [drafts, sent] = [app.role("drafts")?.id, app.role("sent")?.id];
	const back: Record<string, unknown> = { "keywords/$draft": true };
	if (drafts) back[`mailboxIds/${drafts}`] = true;
	if (sent && drafts) back[`mailboxIds/${sent}`] = null;
	await app.client.call("Email/set", { update: { [s.email]: back } });
	return true;
}
