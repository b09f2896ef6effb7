// The list of mails: as many rows as there are, of which only those in sight exist. Rows come fifty at a
// time, in one request (Email/query, Email/get and the rest of their threads, by references).

import { Call, Client, MethodError, Result } from "./jmap";
import { Brief, Listed } from "./types";
import { add, button, fill, h, icon, set } from "./dom";
import { people, short } from "./dates";
import { Filter } from "./search";
import { Track } from "./track";
import { texts } from "./texts";

export interface Row {
	id: string; // of the mail that stands for it
	mail: Listed;
	thread: Brief[]; // all mails of its thread, as far as they are known; at least its own
}

// Query is what the list shows.
export interface Query {
	filter: Filter;
	collapse: boolean; // a row is a thread
	sent: boolean; // rows are about who a mail went to
	box: string | null; // the mailbox, where it is one
}

// What the list tells of and asks for.
export interface Listener {
	client: Client;
	own: Set<string>;
	open(row: Row): void;
	flag(row: Row): void;
	selection(): void; // it has changed
	loaded(): void; // the total, or what is shown, has changed
	failed(e: unknown): void;
	keep(key: string, value: unknown): void; // for when there is no network
	kept(key: string): Promise<unknown>;
	dragged(): Row[];
}

const page = 50;
const beyond = 8; // rows that exist above and below those in sight

const listed = ["id", "threadId", "mailboxIds", "keywords", "from", "to", "receivedAt", "subject", "preview", "hasAttachment", "size"];
const brief = ["id", "threadId", "mailboxIds", "keywords", "from", "to", "receivedAt"];

interface Loaded {
	position: number;
	total: number;
	rows: Row[];
}

interface Shown {
	item: HTMLLIElement;
	row: Row | null; // what it shows now; null: a row that is being loaded
	at: number;
	link?: HTMLAnchorElement;
}

export class MailList {
	readonly element: HTMLElement; // what scrolls
	private readonly canvas = h("ul", { class: "rows" });
	private readonly empty = h("p", { class: "none", hidden: true });
	private query: Query | null = null;
	private rows = new Map<number, Row>();
	private loading = new Set<number>(); // first rows of pages
	private shown = new Map<string, Shown>(); // by row id, or "?" and the position
	private track = new Track();
	private generation = 0; // grows whenever what is on its way is worth nothing any more
	private rowHeight = 68;
	private hrefs: (row: Row) => string = () => "#";
	total = 0;
	known = false; // total is
	cursor = 0;
	current: string | null = null; // the thread that is open
	readonly selected = new Map<string, Row>();

	constructor(private readonly to: Listener) {
		this.element = h("div", { class: "scroller", tabindex: "-1" }, this.canvas, this.empty);
		this.element.addEventListener("scroll", () => {
			if (this.track.scrolled(this.element.scrollTop)) this.element.scrollTop = this.track.bar;
			this.draw();
		}, { passive: true });
		new ResizeObserver(() => this.measure()).observe(this.element);
	}

	// show begins anew with another query.
	async show(query: Query, href: (row: Row) => string): Promise<void> {
		this.query = query;
		this.hrefs = href;
		this.generation++;
		this.rows.clear();
		this.loading.clear();
		this.total = this.cursor = 0;
		this.known = false;
		this.clearSelection();
		this.measure();
		this.track.to(0);
		this.element.scrollTop = 0;
		await this.load(0);
	}

	private measure(): void {
		const rem = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
		this.rowHeight = Math.round(rem * 4.25);
		this.track.resize(this.total * this.rowHeight, this.element.clientHeight);
		this.canvas.style.height = this.track.height + "px";
		if (Math.abs(this.element.scrollTop - this.track.bar) > 1) this.element.scrollTop = this.track.bar;
		this.draw();
	}

	private calls(q: Query, where: Record<string, unknown>): Call[] {
		return [
			["Email/query", { filter: q.filter, sort: [{ property: "receivedAt", isAscending: false }], collapseThreads: q.collapse, limit: page, calculateTotal: true, ...where }],
			["Email/get", { "#ids": { resultOf: "0", name: "Email/query", path: "/ids" }, properties: listed }],
			["Thread/get", { "#ids": { resultOf: "1", name: "Email/get", path: "/list/*/threadId" } }],
			["Email/get", { "#ids": { resultOf: "2", name: "Thread/get", path: "/list/*/emailIds" }, properties: brief }],
		];
	}

	private read(results: Result[]): Loaded {
		const [found, got, threads, all] = results;
		for (const r of [found, got]) {
			if (r instanceof MethodError) throw r;
		}
		const mails = new Map<string, Listed>(got.list.map((m: Listed) => [m.id, m]));
		const briefs = new Map<string, Brief>(all instanceof MethodError ? [] : all.list.map((m: Brief) => [m.id, m]));
		const members = new Map<string, string[]>(threads instanceof MethodError ? [] : threads.list.map((t: { id: string; emailIds: string[] }) => [t.id, t.emailIds]));
		const rows: Row[] = [];
		for (const id of found.ids as string[]) {
			const mail = mails.get(id);
			if (!mail) continue; // it went between the two calls, and a change tells of it
			const thread = (members.get(mail.threadId) ?? []).map((m) => (m === id ? mail : briefs.get(m))).filter((b): b is Brief => b !== undefined);
			rows.push({ id, mail, thread: thread.length && this.query?.collapse ? thread : [mail] });
		}
		return { position: found.position, total: found.total ?? 0, rows };
	}

	private async load(first: number): Promise<void> {
		const q = this.query;
		if (!q || this.loading.has(first)) return;
		this.loading.add(first);
		const generation = this.generation;
		const key = `list ${JSON.stringify([q.filter, q.collapse, first])}`;
		try {
			let got: Loaded;
			try {
				got = this.read(await this.to.client.settled(this.calls(q, { position: first })));
				if (first < 10 * page) this.to.keep(key, got);
			} catch (e) {
				const kept = (await this.to.kept(key)) as Loaded | undefined;
				if (generation === this.generation) this.to.failed(e);
				if (!kept) throw e;
				got = kept;
			}
			if (generation !== this.generation) return;
			this.take(got);
		} catch (e) {
			if (generation === this.generation && first === 0) {
				this.known = true;
				this.empty.hidden = false;
				fill(this.empty, texts.listFailed);
				this.to.loaded();
			}
		} finally {
			if (generation === this.generation) this.loading.delete(first);
		}
	}

	private take(got: Loaded): void {
		got.rows.forEach((r, i) => this.rows.set(got.position + i, r));
		this.total = got.total;
		this.known = true;
		for (const r of got.rows) {
			if (this.selected.has(r.id)) this.selected.set(r.id, r);
		}
		this.empty.hidden = this.total > 0;
		fill(this.empty, this.query?.box ? texts.emptyList : texts.emptySearch);
		this.measure();
		performance.mark("waxwing-rows");
		this.to.loaded();
	}

	// refresh looks at what is in sight anew, and keeps its place: the row at the top stays there, however many came above it.
	async refresh(): Promise<void> {
		const q = this.query;
		if (!q) return;
		const generation = ++this.generation;
		this.loading.clear();
		const top = Math.floor(this.track.top / this.rowHeight);
		const anchor = this.track.top > this.rowHeight / 2 ? this.rows.get(top) : undefined;
		let got: Loaded;
		let results = await this.to.client.settled(this.calls(q, anchor ? { anchor: anchor.id, anchorOffset: -beyond } : { position: 0 }));
		if (results[0] instanceof MethodError && anchor) results = await this.to.client.settled(this.calls(q, { position: Math.max(0, top - beyond) }));
		if (generation !== this.generation) return;
		got = this.read(results);
		const now = anchor ? got.rows.findIndex((r) => r.id === anchor.id) : -1;
		const under = this.cursor || this.element.contains(document.activeElement) ? this.rows.get(this.cursor)?.id : undefined;
		this.rows.clear();
		if (now >= 0) {
			this.track.resize(got.total * this.rowHeight, this.element.clientHeight);
			this.track.to(this.track.top + (got.position + now - top) * this.rowHeight);
		}
		this.take(got);
		const at = got.rows.findIndex((r) => r.id === under);
		this.cursor = at >= 0 ? got.position + at : Math.min(this.cursor, Math.max(0, this.total - 1));
		this.draw();
	}

	// stale has what is on its way thrown away: rows have changed here meanwhile.
	private stale(): void {
		this.generation++;
		this.loading.clear();
	}

	// without takes rows away, before the server has said so. What was below them moves up.
	without(ids: Set<string>): void {
		this.stale();
		const kept = [...this.rows.entries()].filter(([, r]) => ids.has(r.id)).map(([at]) => at).sort((a, b) => a - b);
		const rows = new Map<number, Row>();
		for (const [at, r] of this.rows) {
			if (!ids.has(r.id)) rows.set(at - below(kept, at), r);
		}
		this.cursor = Math.max(0, this.cursor - below(kept, this.cursor));
		this.rows = rows;
		this.total = Math.max(0, this.total - kept.length);
		for (const id of ids) this.selected.delete(id);
		this.cursor = Math.min(this.cursor, Math.max(0, this.total - 1));
		this.empty.hidden = this.total > 0;
		this.measure();
		this.to.selection();
		this.to.loaded();
	}

	// changed draws anew rows whose mails have other keywords now.
	changed(): void {
		for (const s of this.shown.values()) s.row = null;
		this.draw();
	}

	// every row that is loaded.
	loadedRows(): Row[] {
		return [...this.rows.entries()].sort((a, b) => a[0] - b[0]).map(([, r]) => r);
	}

	rowAt(at: number): Row | undefined {
		return this.rows.get(at);
	}

	// find is the position of the row of a thread.
	find(thread: string): number {
		for (const [at, r] of this.rows) {
			if (r.mail.threadId === thread) return at;
		}
		return -1;
	}

	// move goes to another row, and gives it the focus.
	move(by: number): Row | undefined {
		return this.focus(this.cursor + by);
	}

	focus(at: number): Row | undefined {
		if (this.total === 0) return undefined;
		this.cursor = Math.max(0, Math.min(this.total - 1, at));
		this.reveal(this.cursor);
		this.draw();
		const row = this.rows.get(this.cursor);
		if (row) this.shown.get(row.id)?.link?.focus({ preventScroll: true });
		return row;
	}

	private reveal(at: number): void {
		const first = at * this.rowHeight;
		const view = this.element.clientHeight;
		if (first < this.track.top) this.track.to(first);
		else if (first + this.rowHeight > this.track.top + view) this.track.to(first + this.rowHeight - view);
		else return;
		this.element.scrollTop = this.track.bar;
	}

	select(row: Row, on: boolean): void {
		if (on) this.selected.set(row.id, row);
		else this.selected.delete(row.id);
		this.changed();
		this.to.selection();
	}

	private from = 0; // where a range of selected rows begins

	private pick(at: number, row: Row, range: boolean): void {
		const on = !this.selected.has(row.id);
		if (range) {
			for (let i = Math.min(at, this.from); i <= Math.max(at, this.from); i++) {
				const r = this.rows.get(i);
				if (r && on) this.selected.set(r.id, r);
				else if (r) this.selected.delete(r.id);
			}
		}
		this.from = at;
		this.select(row, on);
	}

	selectAll(): void {
		for (const r of this.rows.values()) this.selected.set(r.id, r);
		this.changed();
		this.to.selection();
	}

	clearSelection(): void {
		this.selected.clear();
		this.changed();
		this.to.selection();
	}

	// draw has the rows in sight exist, and asks for those that are not loaded.
	private draw(): void {
		const view = this.element.clientHeight;
		const first = Math.max(0, Math.floor(this.track.top / this.rowHeight) - beyond);
		const end = Math.min(this.total, Math.ceil((this.track.top + view) / this.rowHeight) + beyond);
		const keep = new Set<string>();
		const active = document.activeElement as HTMLElement | null;
		let before: Element | null = null; // the row above, which this one follows also for those who hear the page
		for (let at = first; at < end; at++) {
			const row = this.rows.get(at);
			if (!row) this.want(at);
			const key = row ? row.id : "?" + at;
			keep.add(key);
			let s = this.shown.get(key);
			if (!s) {
				s = { item: h("li", { class: "row" }), row: null, at: -1 };
				this.shown.set(key, s);
			}
			const next: Element | null = before ? before.nextElementSibling : this.canvas.firstElementChild;
			if (next !== s.item) this.canvas.insertBefore(s.item, next);
			before = s.item;
			s.at = at;
			if (row && s.row !== row) this.paint(s, row);
			set(s.item, { "aria-setsize": this.total, "aria-posinset": at + 1, "aria-busy": row ? undefined : "true" });
			s.item.style.transform = `translateY(${at * this.rowHeight - this.track.offset}px)`;
			s.item.classList.toggle("open", row !== undefined && row.mail.threadId === this.current);
			if (s.link) set(s.link, { "aria-current": row?.mail.threadId === this.current ? "true" : undefined });
			for (const e of s.item.querySelectorAll("a, button, input")) e.setAttribute("tabindex", at === this.cursor ? "0" : "-1");
		}
		if (active !== document.activeElement && active?.isConnected) active.focus({ preventScroll: true }); // moving an element takes its focus
		for (const [key, s] of this.shown) {
			if (keep.has(key)) continue;
			if (s.item.contains(document.activeElement) && this.rowOf(key)) continue; // the focus must not get lost by scrolling
			s.item.remove();
			this.shown.delete(key);
		}
	}

	private rowOf(key: string): boolean {
		for (const r of this.rows.values()) {
			if (r.id === key) return true;
		}
		return false;
	}

	private wanted = 0;

	// want has a page loaded, once scrolling has come to rest for a moment.
	private want(at: number): void {
		if (!this.known || this.loading.has(at - (at % page)) || this.wanted) return;
		this.wanted = window.setTimeout(() => {
			this.wanted = 0;
			const first = Math.max(0, Math.floor(this.track.top / this.rowHeight) - beyond);
			const end = Math.min(this.total, first + Math.ceil(this.element.clientHeight / this.rowHeight) + 2 * beyond);
			const pages = new Set<number>();
			for (let i = first; i < end; i++) {
				if (!this.rows.has(i)) pages.add(i - (i % page));
			}
			for (const p of pages) void this.load(p);
		}, 40);
	}

	private paint(s: Shown, row: Row): void {
		s.row = row;
		const subject = row.mail.subject || texts.noSubject;
		const unread = row.thread.some((m) => !m.keywords.$seen && !m.keywords.$draft);
		const flagged = row.thread.some((m) => m.keywords.$flagged);
		const on = this.selected.has(row.id);
		const names = this.query?.sent ? texts.toThem(people([row.mail.to], this.to.own)) : people(row.thread.map((m) => m.from), this.to.own);
		const focused = s.item.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.part : undefined;
		s.item.classList.toggle("unread", unread);
		s.item.classList.toggle("selected", on);
		s.link = h("a", { class: "what", href: this.hrefs(row), data: { part: "link" }, draggable: "true", on: { click: (e) => this.click(e as MouseEvent, s, row), dragstart: (e) => this.drag(e as DragEvent, row), focus: () => this.at(s.at) } },
			h("span", { class: "names", dir: "auto" }, unread ? h("span", { class: "dot", role: "img", "aria-label": texts.unread }) : null, names,
				row.thread.length > 1 ? h("span", { class: "count", title: texts.mailsIn(row.thread.length) }, String(row.thread.length)) : null),
			h("time", { datetime: row.mail.receivedAt }, short(row.mail.receivedAt)),
			h("span", { class: "subject", dir: "auto" }, subject),
			h("span", { class: "preview", dir: "auto" }, row.mail.hasAttachment ? [icon("clip"), h("span", { class: "hidden" }, texts.hasAttachment)] : null, row.mail.preview));
		fill(s.item,
			h("label", { class: "pick" }, h("input", { type: "checkbox", data: { part: "pick" }, "aria-label": texts.select(subject), checked: on,
				on: { click: (e) => this.pick(s.at, row, (e as MouseEvent).shiftKey) } })),
			s.link);
		add(s.item, [button(flagged ? texts.unflag : texts.flag, () => this.to.flag(row), { icon: "flag", bare: true, class: flagged ? "star on" : "star", "data-part": "star" })]);
		if (focused) s.item.querySelector<HTMLElement>(`[data-part="${focused}"]`)?.focus({ preventScroll: true });
	}

	private at(at: number): void {
		if (this.cursor === at) return;
		this.cursor = at;
		this.draw();
	}

	private click(e: MouseEvent, s: Shown, row: Row): void {
		if (e.ctrlKey || e.metaKey || e.button !== 0) return; // the browser opens it in a window of its own
		e.preventDefault();
		this.at(s.at);
		if (e.shiftKey) this.pick(s.at, row, true);
		else this.to.open(row);
	}

	private drag(e: DragEvent, row: Row): void {
		if (!this.selected.has(row.id)) {
			this.selected.clear();
			this.select(row, true);
		}
		e.dataTransfer?.setData("application/x-waxwing-mails", "selected");
		if (e.dataTransfer) e.dataTransfer.effectAllowed = "move";
	}
}

// below is how many of the sorted numbers are less than n.
function below(sorted: number[], n: number): number {
	let count = 0;
	while (count < sorted.length && sorted[count] < n) count++;
	return count;
}
