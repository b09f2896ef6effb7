// What people do with mail: move, delete, flag, and undo all of it. A change is shown at once, and taken back
// where the server refuses it.

import { App } from "./app";
import { Args } from "./jmap";
import { Brief } from "./types";
import { texts } from "./texts";

type Patch = Record<string, true | null>;

// Change is what one mail becomes, and what makes it what it was.
interface Change {
	mail: Brief;
	patch: Patch;
	back: Patch;
}

const atOnce = 500;

export class Acts {
	private undoable: Change[][] = [];

	// after is called when mails have changed here, before the server has said anything.
	constructor(private readonly app: App, private readonly after: (changed: Brief[]) => void) {}

	// keyword gives mails a keyword, or takes it away.
	async keyword(mails: Brief[], keyword: string, on: boolean): Promise<void> {
		await this.run(mails.map((m) => changeOf(m, {}, { [keyword]: on })));
	}

	// move takes mails out of one mailbox, or out of all, and puts them into another.
	async move(mails: Brief[], from: string | null, to: string, keywords: Record<string, boolean>, says: string): Promise<boolean> {
		const changes = mails.map((m) => {
			const boxes: Record<string, boolean> = {};
			for (const id of from ? [from] : Object.keys(m.mailboxIds)) boxes[id] = false;
			boxes[to] = true;
			return changeOf(m, boxes, keywords);
		});
		if (!(await this.run(changes))) return false;
		this.undoable.push(changes);
		if (this.undoable.length > 50) this.undoable.shift();
		this.app.notice({ text: says, act: { label: texts.undo, run: () => void this.undo(changes) }, seconds: 10 });
		return true;
	}

	async destroy(mails: Brief[]): Promise<boolean> {
		for (const m of mails) m.mailboxIds = {};
		this.after(mails);
		try {
			for (let i = 0; i < mails.length; i += atOnce) {
				const r = await this.app.client.call("Email/set", { destroy: mails.slice(i, i + atOnce).map((m) => m.id) });
				const bad = Object.values(r.notDestroyed ?? {}) as { type: string; description?: string }[];
				if (bad.length) throw new Error(bad[0].description ?? bad[0].type);
			}
			this.app.notice({ text: texts.done.destroyed(mails.length) });
			return true;
		} catch (e) {
			this.app.failed(e);
			this.app.refresh();
			return false;
		}
	}

	// undo takes back a change, or without one the last one.
	async undo(changes?: Change[]): Promise<void> {
		const what = changes ?? this.undoable[this.undoable.length - 1];
		if (!what) {
			this.app.notice({ text: texts.done.nothingToUndo });
			return;
		}
		this.undoable = this.undoable.filter((c) => c !== what);
		if (await this.run(what.map((c) => ({ mail: c.mail, patch: c.back, back: c.patch })))) this.app.notice({ text: texts.done.undone });
		this.app.refresh();
	}

	private async run(changes: Change[]): Promise<boolean> {
		changes = changes.filter((c) => Object.keys(c.patch).length);
		if (!changes.length) return true;
		for (const c of changes) apply(c.mail, c.patch);
		this.after(changes.map((c) => c.mail));
		try {
			for (let i = 0; i < changes.length; i += atOnce) {
				const update: Args = {};
				for (const c of changes.slice(i, i + atOnce)) update[c.mail.id] = c.patch;
				const r = await this.app.client.call("Email/set", { update });
				const bad = Object.values(r.notUpdated ?? {}) as { type: string; description?: string }[];
				if (bad.length) throw new Error(bad[0].description ?? bad[0].type);
			}
			return true;
		} catch (e) {
			for (const c of changes) apply(c.mail, c.back);
			this.after(changes.map((c) => c.mail));
			this.app.failed(e);
			this.app.refresh();
			return false;
		}
	}
}

function changeOf(mail: Brief, boxes: Record<string, boolean>, keywords: Record<string, boolean>): Change {
	const c: Change = { mail, patch: {}, back: {} };
	for (const [prefix, was, now] of [["mailboxIds/", mail.mailboxIds, boxes], ["keywords/", mail.keywords, keywords]] as const) {
		for (const [name, on] of Object.entries(now)) {
			if (Boolean(was[name]) === on) continue;
			c.patch[prefix + name] = on ? true : null;
			c.back[prefix + name] = on ? null : true;
		}
	}
	return c;
}

function apply(mail: Brief, patch: Patch): void {
	for (const [path, v] of Object.entries(patch)) {
		const [kind, name] = [path.slice(0, path.indexOf("/")), path.slice(path.indexOf("/") + 1)];
		const of = kind === "mailboxIds" ? mail.mailboxIds : mail.keywords;
		if (v) of[name] = true;
		else delete of[name];
	}
}
