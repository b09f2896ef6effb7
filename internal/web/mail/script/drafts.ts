// Drafts: what is being written, kept on the server as one types (MAIL-4). A draft that is saved is a new mail in place of the old
// one (RFC 8621 §4.6); where the old one is gone meanwhile, another window has saved, sent or discarded it.

import { App } from "./app";
import { Address } from "./types";
import { Attached } from "./files";
import { flowed } from "./flowed";
import { texts } from "./texts";

export interface Identity {
	id: string;
	name: string;
	email: string;
	replyTo: Address[] | null;
	bcc: Address[] | null;
	textSignature: string;
}

export interface Written {
	identity: Identity | null;
	to: Address[];
	cc: Address[];
	bcc: Address[];
	subject: string;
	text: string;
	html: string | null;
	files: Attached[];
	inReplyTo: string[] | null;
	references: string[] | null;
}

// record is a mail as Email/set takes it.
export function record(w: Written, drafts: string): Record<string, unknown> {
	const none = <T>(all: T[] | null | undefined): T[] | undefined => (all?.length ? all : undefined);
	const values: Record<string, { value: string }> = { t: { value: flowed(w.text) } };
	if (w.html !== null) values.h = { value: `<!DOCTYPE html><html><body>${w.html}</body></html>` };
	return {
		mailboxIds: { [drafts]: true },
		keywords: { $draft: true, $seen: true },
		from: w.identity ? [{ name: w.identity.name || null, email: w.identity.email }] : undefined,
		replyTo: none(w.identity?.replyTo),
		to: none(w.to),
		cc: none(w.cc),
		bcc: none(w.bcc),
		subject: w.subject,
		inReplyTo: none(w.inReplyTo),
		references: none(w.references),
		bodyValues: values,
		textBody: [{ partId: "t", type: "text/plain", format: "flowed" }],
		htmlBody: w.html === null ? undefined : [{ partId: "h", type: "text/html" }],
		attachments: none(w.files.map((f) => ({ blobId: f.blobId, type: f.type, name: f.name, disposition: "attachment" }))),
	};
}

export type Saved = { ok: true; conflict: boolean } | { ok: false };

// Drafts saves one draft, one save after the other.
export class Drafts {
	private last = ""; // what was saved, as JSON
	private running: Promise<Saved> | null = null;

	constructor(private readonly app: App, public id: string | null) {}

	get mailbox(): string {
		const box = this.app.role("drafts");
		if (!box) throw new Error(texts.compose.noMailbox);
		return box.id;
	}

	// known says what stands on the server already.
	known(w: Written): void {
		this.last = JSON.stringify(record(w, this.mailbox));
	}

	differs(w: Written): boolean {
		return JSON.stringify(record(w, this.mailbox)) !== this.last;
	}

	async save(w: Written): Promise<Saved> {
		while (this.running) await this.running;
		this.running = this.put(w);
		try {
			return await this.running;
		} finally {
			this.running = null;
		}
	}

	private async put(w: Written): Promise<Saved> {
		const mail = record(w, this.mailbox);
		const json = JSON.stringify(mail);
		if (this.id && json === this.last) return { ok: true, conflict: false };
		const old = this.id;
		try {
			const r = await this.app.client.call("Email/set", { create: { m: mail }, destroy: old ? [old] : undefined });
			const made = r.created?.m;
			if (!made) throw new Error(r.notCreated?.m?.description ?? r.notCreated?.m?.type);
			this.id = made.id;
			this.last = json;
			return { ok: true, conflict: Boolean(old && r.notDestroyed?.[old]) };
		} catch (e) {
			this.app.failed(e);
			return { ok: false };
		}
	}

	// settled waits until nothing is being saved any more.
	async settled(): Promise<void> {
		while (this.running) await this.running;
	}

	async discard(): Promise<void> {
		await this.settled();
		if (this.id) await this.app.client.call("Email/set", { destroy: [this.id] });
		this.id = null;
	}
}
