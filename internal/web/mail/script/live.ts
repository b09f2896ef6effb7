// News: the server tells of changes as they come (RFC 8620 §7.3). Where the connection breaks, the browser
// makes a new one, and the server tells of what was missed.

import { Client } from "./jmap";

const ping = 60; // seconds
const together = 50; // milliseconds in which several changes are one

export class Live {
	private source: EventSource | null = null;
	private types = new Set<string>();
	private timer = 0;
	private wait = 2000; // milliseconds until the next try, where the browser has given up

	constructor(private readonly client: Client, private readonly news: (types: Set<string>) => void, private readonly reachable: (there: boolean) => void) {}

	start(): void {
		this.connect();
		addEventListener("online", () => this.connect());
		addEventListener("offline", () => this.reachable(false));
	}

	private connect(): void {
		this.source?.close();
		const s = new EventSource(this.client.eventsURL(["Email", "Mailbox", "Thread", "EmailSubmission"], ping));
		this.source = s;
		s.onopen = () => {
			this.wait = 2000;
			this.reachable(true);
		};
		s.addEventListener("state", (e) => this.heard(JSON.parse((e as MessageEvent).data)));
		s.onerror = () => {
			if (s !== this.source || s.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
			window.setTimeout(() => s === this.source && this.connect(), this.wait);
			this.wait = Math.min(this.wait * 2, 60_000);
		};
	}

	private heard(change: { changed: Record<string, Record<string, string>> }): void {
		for (const type of Object.keys(change.changed[this.client.accountId] ?? {})) this.types.add(type);
		if (this.timer || !this.types.size) return;
		this.timer = window.setTimeout(() => {
			this.timer = 0;
			const types = this.types;
			this.types = new Set();
			this.news(types);
		}, together);
	}
}
