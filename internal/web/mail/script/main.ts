// The webmail: mailboxes, list, reading pane, and what connects them. It is a JMAP client and nothing else.

import { Client, LoggedOut, Offline } from "./jmap";
import { App, Notice } from "./app";
import { Brief, Email, Mailbox } from "./types";
import { Boxes, boxAt, choose, nameOf, placeOf, sure } from "./boxes";
import { Acts } from "./acts";
import { button, Child, fill, h } from "./dom";
import { handleMailto, install, notifies, setNotify } from "./install";
import { Keys } from "./keys";
import { draftOf } from "./mailto";
import { Notices } from "./notices";
import { MailList, Query, Row } from "./list";
import { Reading } from "./reading";
import { SearchBar } from "./searchbar";
import { filter } from "./search";
import { Live } from "./live";
import { forget, keep, kept } from "./store";
import * as route from "./route";
import { openCompose } from "./compose";
import { language, texts } from "./texts";

class Mail implements App {
	readonly boxes = new Map<string, Mailbox>();
	readonly own = new Set<string>();
	readonly overlay = h("div", { class: "overlay" });
	private readonly notices = new Notices();
	private readonly heading = h("h2", { tabindex: "-1" });
	private readonly count = h("span", { class: "help", "aria-live": "polite" });
	private readonly bar = h("div", { class: "bar", role: "toolbar", "aria-label": texts.selected(0) });
	private readonly frame = document.body;
	private readonly rail: Boxes;
	private readonly list: MailList;
	private readonly reading: Reading;
	private readonly acts: Acts;
	private readonly search: SearchBar;
	private readonly keys: Keys;
	private at: route.Route = route.parse(location.pathname, location.search);
	private showing = ""; // what the list shows
	private offline = false;
	private acted = 0; // when something was last done here

	constructor(readonly client: Client) {
		this.own.add(client.session.username.toLowerCase());
		this.rail = new Boxes((b) => this.go(route.write(placeOf(b))), (b) => route.write(placeOf(b)), (b) => void this.moveTo(b));
		const store = { keep: (key: string, value: unknown) => void keep(`${client.accountId} ${key}`, value), kept: (key: string) => kept(`${client.accountId} ${key}`) };
		this.list = new MailList({
			client, own: this.own, ...store,
			open: (row) => this.open(row), flag: (row) => void this.flag(row.thread, row.mail), selection: () => this.toolbar(), loaded: () => this.counted(), failed: (e) => this.failed(e), dragged: () => [...this.list.selected.values()],
		});
		this.reading = new Reading({
			app: this, ...store, loaded: () => this.toolbar(),
			drafted: (mail) => openCompose(this, { action: "edit", of: mail }),
			answer: (action, mail) => openCompose(this, { action, of: mail }),
			seen: (mails) => void this.acts.keyword(mails.filter((m) => !m.keywords.$seen), "$seen", true),
			buttons: (mail) => this.mailButtons(mail),
		});
		this.acts = new Acts(this, (changed) => this.changed(changed));
		this.search = new SearchBar((q) => this.go(q ? route.write("search", null, new URLSearchParams({ q })) : route.write("inbox")), () => [...this.boxes.values()], () => this.list.loadedRows());
		this.keys = new Keys(this.allKeys());
	}

	async begin(): Promise<void> {
		this.client.onSessionState = null;
		this.page();
		const before = (await kept(`${this.client.accountId} boxes`)) as Mailbox[] | undefined;
		if (before) { // the list need not wait for the counters
			this.know(before);
			void this.loadBoxes().then(() => this.show());
		} else {
			await this.loadBoxes();
		}
		addEventListener("popstate", () => this.show());
		document.addEventListener("click", (e) => {
			const link = (e.target as Element).closest<HTMLAnchorElement>('a[href^="mailto:"]');
			if (link) {
				e.preventDefault();
				openCompose(this, draftOf(link.href));
			}
			for (const d of document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")) {
				if (!d.contains(e.target as Node)) d.open = false;
			}
		});
		this.show();
		new Live(this.client, (types) => void this.news(types), (there) => this.reachable(there)).start();
		void this.identities();
		void install();
	}

	private page(): void {
		document.documentElement.lang = language;
		const user = this.client.session.username;
		const out = () => h("form", { method: "post", action: document.body.dataset.logout ?? "/logout", on: { submit: () => void this.forget() } }, h("button", { class: "plain" }, texts.logOut));
		fill(this.frame,
			h("a", { class: "skip", href: "#mails" }, texts.skip),
			h("header", { class: "top" },
				button(texts.showMailboxes, () => this.menu(true), { icon: "menu", bare: true, class: "menu-button", "aria-expanded": "false" }),
				h("a", { class: "name", href: route.home, on: { click: (e) => this.link(e, route.write("inbox")) } }, texts.name),
				this.search.element,
				h("div", { class: "who" }, button(texts.help, () => this.sheet(), { icon: "help", bare: true, key: "?" }), h("a", { href: "/account/" }, user), out()),
				button(texts.newMail, () => this.compose(), { icon: "pen", bare: true, class: "compose-button" })),
			h("nav", { class: "rail", "aria-label": texts.mailboxes },
				button(texts.newMail, () => this.compose(), { icon: "pen", class: "first compose", key: "c" }), this.rail.element,
				h("div", { class: "who" }, h("a", { href: "/account/" }, user), out())),
			h("main", { id: "mails", tabindex: "-1" },
				h("h1", { class: "hidden" }, texts.reading),
				h("section", { class: "list", "aria-label": texts.list }, h("div", { class: "head" }, this.heading, this.count), this.bar, this.list.element),
				h("section", { class: "pane", "aria-label": texts.reading }, h("div", { class: "pane-head" }, button(texts.back, () => this.leave(), { icon: "back", class: "back", key: "u" })), this.reading.element)),
			this.notices.element, this.overlay);
	}

	private menu(open: boolean): void {
		this.frame.classList.toggle("menu-open", open);
		document.querySelector(".menu-button")?.setAttribute("aria-expanded", String(open));
		if (!open) return;
		this.rail.element.querySelector<HTMLElement>("a")?.focus();
		const end = (e: Event) => {
			if (e instanceof KeyboardEvent ? e.key !== "Escape" : (e.target as HTMLElement).closest(".menu-button")) return;
			this.menu(false);
			removeEventListener("click", end);
			removeEventListener("keydown", end);
		};
		addEventListener("click", end);
		addEventListener("keydown", end);
	}

	private link(e: Event, path: string): void {
		const m = e as MouseEvent;
		if (m.ctrlKey || m.metaKey || m.shiftKey || m.button) return;
		e.preventDefault();
		this.go(path);
	}

	// Mailboxes and addresses.

	private async loadBoxes(): Promise<void> {
		const key = `${this.client.accountId} boxes`;
		let list: Mailbox[];
		try {
			list = (await this.client.call("Mailbox/get", { ids: null })).list;
			void keep(key, list);
		} catch (e) {
			this.failed(e);
			list = ((await kept(key)) as Mailbox[] | undefined) ?? [...this.boxes.values()];
		}
		this.know(list);
	}

	private know(list: Mailbox[]): void {
		this.boxes.clear();
		for (const b of list) this.boxes.set(b.id, b);
		this.showRail();
	}

	private showRail(): void {
		this.rail.show(this.boxes.values(), this.at.place);
		this.counted();
	}

	private async identities(): Promise<void> {
		try {
			for (const i of (await this.client.call("Identity/get", { ids: null })).list) this.own.add(String(i.email).toLowerCase());
			this.list.changed();
		} catch {
			// the account's name is among them in any case
		}
	}

	role(role: string): Mailbox | undefined {
		for (const b of this.boxes.values()) {
			if (b.role === role) return b;
		}
		return undefined;
	}

	private get box(): Mailbox | undefined {
		return boxAt(this.at.place, this.boxes.values());
	}

	// Addresses of what is shown.

	go(path: string): void {
		const u = new URL(path, location.href);
		if (u.pathname + u.search !== location.pathname + location.search) history.pushState(null, "", u.pathname + u.search);
		this.show();
	}

	private show(): void {
		this.at = route.parse(location.pathname, location.search);
		if (this.at.place === "compose") {
			this.composeAt(this.at.query);
			return;
		}
		const searched = this.at.place === "search" ? this.at.query.get("q") ?? "" : null;
		const box = searched === null ? this.box ?? this.role("inbox") : undefined;
		const key = searched === null ? box?.id ?? "" : "? " + searched;
		this.search.show(searched ?? "");
		if (key !== this.showing) {
			this.showing = key;
			fill(this.heading, searched === null ? (box ? nameOf(box) : texts.loading) : texts.searchFor(searched));
			void this.list.show(this.queryOf(box, searched), (row) => this.address(row)).then(() => this.mark());
		}
		this.rail.show(this.boxes.values(), this.at.place);
		this.frame.classList.toggle("reading", this.at.thread !== null);
		this.menu(false);
		if (this.at.thread) {
			this.frame.classList.toggle("reading", true);
			if (this.at.thread !== this.reading.thread) void this.reading.show(this.at.thread, this.at.query.get("m")).then(() => this.reading.focus());
		} else {
			this.reading.close();
			document.title = `${box ? nameOf(box) : texts.searchFor(searched ?? "")} · ${texts.name}`;
		}
		this.mark();
		this.toolbar();
	}

	private mark(): void {
		this.list.current = this.at.thread;
		this.list.changed();
	}

	private queryOf(box: Mailbox | undefined, searched: string | null): Query {
		if (searched !== null) return { filter: filter(searched, [...this.boxes.values()]), collapse: false, sent: false, box: null };
		const out = box?.role === "sent" || box?.role === "drafts";
		return { filter: box ? { inMailbox: box.id } : {}, collapse: !out, sent: out, box: box?.id ?? null };
	}

	private address(row: Row): string {
		if (this.at.place !== "search") return route.write(this.at.place, row.mail.threadId);
		const q = new URLSearchParams(this.at.query);
		q.set("m", row.id);
		return route.write("search", row.mail.threadId, q);
	}

	private open(row: Row): void {
		if (row.mail.keywords.$draft && this.box?.role === "drafts") {
			void this.draft(row.id);
			return;
		}
		this.go(this.address(row));
	}

	private async draft(id: string): Promise<void> {
		try {
			const got = await this.client.call("Email/get", { ids: [id], fetchTextBodyValues: true, fetchHTMLBodyValues: true,
				properties: ["id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt", "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments"] });
			if (got.list[0]) openCompose(this, { action: "edit", of: got.list[0] as Email });
		} catch (e) {
			this.failed(e);
		}
	}

	// leave goes from a mail back to the list.
	private leave(): void {
		if (!this.at.thread) return;
		const thread = this.at.thread;
		const q = new URLSearchParams(this.at.query);
		q.delete("m");
		this.go(route.write(this.at.place, null, q));
		const at = this.list.find(thread);
		this.list.focus(at >= 0 ? at : this.list.cursor);
	}

	// What is chosen: rows that are selected, else the mail that is open, else the row that has the focus.

	private chosen(): Brief[] {
		const of = (row: Row) => (this.box ? row.thread.filter((m) => m.mailboxIds[(this.box as Mailbox).id]) : [row.mail]);
		if (this.list.selected.size) return [...this.list.selected.values()].flatMap(of);
		if (this.at.thread) return this.box ? this.reading.mails.filter((m) => m.mailboxIds[(this.box as Mailbox).id]) : this.at.query.get("m") ? this.reading.mails.filter((m) => m.id === this.at.query.get("m")) : this.reading.mails;
		const row = this.list.rowAt(this.list.cursor);
		return row ? of(row) : [];
	}

	private async put(role: string, says: (n: number) => string, keywords: Record<string, boolean>): Promise<void> {
		const to = this.role(role);
		const mails = this.chosen();
		if (!to || !mails.length) return;
		await this.move(mails, to, keywords, says(mails.length));
	}

	// move takes mails to a mailbox, and goes on with what comes after them.
	private async move(mails: Brief[], to: Mailbox, keywords: Record<string, boolean>, says: string): Promise<void> {
		if (to.id === this.box?.id) return;
		this.onward(mails);
		await this.acts.move(mails, this.box?.id ?? null, to.id, keywords, says);
	}

	// onward leaves a mail that goes away, for the next one of the list where one was open.
	private onward(mails: Brief[]): void {
		const going = new Set(mails.map((m) => m.id));
		this.list.clearSelection();
		if (!this.at.thread || !this.reading.mails.some((m) => going.has(m.id))) return;
		const at = this.list.find(this.at.thread);
		const next = at < 0 ? undefined : this.list.rowAt(at + 1) ?? this.list.rowAt(at - 1);
		if (next && !matchMedia("(max-width: 56rem)").matches) this.go(this.address(next));
		else this.leave();
	}

	private archive = () => this.put("archive", texts.done.archived, {});

	private remove = async () => {
		const mails = this.chosen();
		const inTrash = this.box?.role === "trash" || (!this.box && mails.every((m) => m.mailboxIds[this.role("trash")?.id ?? ""]));
		if (!inTrash) return this.put("trash", texts.done.removed, {});
		if (!mails.length || !(await sure(texts.sureForEver(mails.length), texts.removeForEver))) return;
		this.onward(mails);
		await this.acts.destroy(mails);
	};

	private junk = () => (this.box?.role === "junk" ? this.put("inbox", texts.done.notJunk, { $junk: false, $notjunk: true }) : this.put("junk", texts.done.junk, { $junk: true, $notjunk: false }));

	private moveTo = async (to?: Mailbox) => {
		const mails = this.chosen();
		if (!mails.length) return;
		const box = to ?? (await choose(this.boxes.values(), this.box?.id ?? null));
		if (box) await this.move(mails, box, {}, texts.done.moved(mails.length, nameOf(box)));
	};

	private flag = async (thread: Brief[], newest: Brief) => {
		const flagged = thread.filter((m) => m.keywords.$flagged);
		await this.acts.keyword(flagged.length ? flagged : [newest], "$flagged", !flagged.length);
	};

	private flagChosen = async () => {
		const mails = this.chosen();
		if (!mails.length) return;
		const on = !mails.some((m) => m.keywords.$flagged);
		await this.acts.keyword(on && this.list.selected.size === 0 ? mails.slice(-1) : mails, "$flagged", on);
	};

	private read = async (on: boolean) => {
		const mails = this.chosen();
		if (!on && this.at.thread) this.leave();
		await this.acts.keyword(on ? mails : mails.slice(this.list.selected.size ? 0 : -1), "$seen", on);
	};

	// changed shows mails as they are from now on, wherever they are seen.
	private changed(changed: Brief[]): void {
		this.acted = Date.now();
		const now = new Map(changed.map((m) => [m.id, m]));
		const gone = new Set<string>();
		for (const row of this.list.loadedRows()) {
			for (const m of [row.mail, ...row.thread]) {
				const as = now.get(m.id);
				if (as && as !== m) Object.assign(m, { keywords: { ...as.keywords }, mailboxIds: { ...as.mailboxIds } });
			}
			if (this.box ? !row.thread.some((m) => m.mailboxIds[(this.box as Mailbox).id]) : now.has(row.id) && this.outOfSight(row.mail)) gone.add(row.id);
		}
		for (const m of this.reading.mails) {
			const as = now.get(m.id);
			if (as && as !== m) Object.assign(m, { keywords: { ...as.keywords }, mailboxIds: { ...as.mailboxIds } });
		}
		if (gone.size) this.list.without(gone);
		this.list.changed();
		this.reading.changed();
		this.toolbar();
	}

	// outOfSight tells whether a search does not find a mail any more for where it lies.
	private outOfSight(m: Brief): boolean {
		const boxes = Object.keys(m.mailboxIds);
		return boxes.every((id) => ["trash", "junk"].includes(this.boxes.get(id)?.role ?? ""));
	}

	// Composing.

	private compose(): void {
		openCompose(this, { action: "new" });
	}

	// composeAt is /mail/compose, and what a link to an address leads to (MAIL-8).
	private composeAt(q: URLSearchParams): void {
		history.replaceState(null, "", route.write("inbox"));
		this.show();
		openCompose(this, draftOf(q.get("mailto") ?? "mailto:" + (q.get("to") ?? "")));
	}

	private answer(action: "reply" | "replyAll" | "forward"): void {
		const of = this.reading.newest;
		if (this.at.thread && of) openCompose(this, { action, of });
	}

	// Buttons and keys.

	private toolbar(): void {
		const n = this.list.selected.size;
		const inJunk = this.box?.role === "junk";
		this.bar.setAttribute("aria-label", texts.selected(n));
		this.bar.hidden = n === 0;
		fill(this.bar, n ? [
			h("span", { class: "help", role: "status" }, texts.selected(n)),
			button(texts.archive, () => void this.archive(), { icon: "archive", bare: true, key: "e" }),
			button(texts.remove, () => void this.remove(), { icon: "trash", bare: true, key: "#" }),
			button(inJunk ? texts.notJunk : texts.junk, () => void this.junk(), { icon: inJunk ? "notjunk" : "junk", bare: true, key: "!" }),
			button(texts.move, () => void this.moveTo(), { icon: "move", bare: true, key: "m" }),
			button(texts.markRead, () => void this.read(true), { icon: "unread", bare: true, key: "I" }),
			button(texts.flag, () => void this.flagChosen(), { icon: "flag", bare: true, key: "s" }),
			button(texts.selectNone, () => this.list.clearSelection(), { icon: "close", bare: true, key: "Escape" })] : null);
	}

	private mailButtons(mail: Email): Child[] {
		if (mail !== this.reading.newest && mail !== this.reading.mails[this.reading.mails.length - 1]) return [];
		const inJunk = this.box?.role === "junk";
		return [
			button(texts.archive, () => void this.archive(), { icon: "archive", bare: true, key: "e" }),
			button(texts.remove, () => void this.remove(), { icon: "trash", bare: true, key: "#" }),
			button(inJunk ? texts.notJunk : texts.junk, () => void this.junk(), { icon: inJunk ? "notjunk" : "junk", bare: true, key: "!" }),
			button(texts.move, () => void this.moveTo(), { icon: "move", bare: true, key: "m" }),
			button(mail.keywords.$flagged ? texts.unflag : texts.flag, () => void this.flagChosen(), { icon: "flag", bare: true, key: "s", class: mail.keywords.$flagged ? "star on" : "star" }),
			button(texts.markUnread, () => void this.read(false), { icon: "unread", bare: true, key: "U" }),
		];
	}

	private step(by: number): void {
		const at = this.at.thread ? this.list.find(this.at.thread) : -1;
		if (at >= 0) this.list.cursor = at;
		const row = this.list.move(document.activeElement?.closest(".row") || at >= 0 ? by : 0);
		if (this.at.thread && row) this.open(row);
	}

	private escape(): void {
		if (this.list.selected.size) this.list.clearSelection();
		else this.leave();
	}

	private allKeys() {
		const t = texts.keys;
		const to = (role: string) => () => this.go(route.write(role));
		const inList = (at: HTMLElement) => at === document.body || at.closest(".list") !== null; // elsewhere they scroll
		const selectOne = () => {
			const row = this.list.rowAt(this.list.cursor);
			if (row) this.list.select(row, !this.list.selected.has(row.id));
		};
		return [
			{ keys: ["j"], says: t.next, run: () => this.step(1) },
			{ keys: ["k"], says: t.previous, run: () => this.step(-1) },
			{ keys: ["ArrowDown"], says: "", when: inList, run: () => this.step(1) },
			{ keys: ["ArrowUp"], says: "", when: inList, run: () => this.step(-1) },
			{ keys: ["o", "Enter"], says: t.open, run: () => this.openCursor() },
			{ keys: ["u", "Escape"], says: t.leave, run: () => this.escape() },
			{ keys: ["e"], says: t.archive, run: () => void this.archive() },
			{ keys: ["#", "Delete"], says: t.remove, run: () => void this.remove() },
			{ keys: ["!"], says: t.junk, run: () => void this.junk() },
			{ keys: ["m"], says: t.move, run: () => void this.moveTo() },
			{ keys: ["r"], says: t.reply, run: () => this.answer("reply") },
			{ keys: ["a"], says: t.replyAll, run: () => this.answer("replyAll") },
			{ keys: ["f"], says: t.forward, run: () => this.answer("forward") },
			{ keys: ["c"], says: t.compose, run: () => this.compose() },
			{ keys: ["/"], says: t.search, run: () => this.search.focus() },
			{ keys: ["x"], says: t.select, run: selectOne },
			{ keys: ["* a"], says: t.all, run: () => this.list.selectAll() },
			{ keys: ["s"], says: t.flag, run: () => void this.flagChosen() },
			{ keys: ["U"], says: t.unread, run: () => void this.read(false) },
			{ keys: ["I"], says: t.read, run: () => void this.read(true) },
			{ keys: ["z"], says: t.undo, run: () => void this.acts.undo() },
			{ keys: ["g i"], says: t.inbox, run: to("inbox") },
			{ keys: ["g d"], says: t.drafts, run: to("drafts") },
			{ keys: ["g s"], says: t.sent, run: to("sent") },
			{ keys: ["g a"], says: t.archived, run: to("archive") },
			{ keys: ["g t"], says: t.trash, run: to("trash") },
			{ keys: ["?"], says: t.help, run: () => this.sheet() },
		];
	}

	// sheet is the keys, and what this browser is to do (MAIL-8).
	private sheet(): void {
		const notify: HTMLInputElement = h("input", { type: "checkbox", checked: notifies(), on: { change: () => void setNotify(notify.checked).then((is) => (notify.checked = is)) } });
		this.keys.sheet(["Notification" in window ? h("label", {}, notify, texts.notify) : null, "registerProtocolHandler" in navigator ? h("p", {}, button(texts.handleMailto, handleMailto, { class: "plain" })) : null]);
	}

	private openCursor(): void {
		const row = this.list.rowAt(this.list.cursor);
		if (row) this.open(row);
	}

	// News, notices and faults.

	private counted(): void {
		if (!this.list.known) return;
		const unread = this.box?.unreadThreads ?? 0;
		fill(this.count, this.at.place === "search" ? texts.found(this.list.total) : [texts.conversations(this.list.total), unread ? `, ${texts.unreadOf(unread)}` : ""]);
	}

	private refreshing: Promise<void> | null = null;
	private again = false;

	refresh(): void {
		void this.news(new Set(["Email", "Mailbox", "Thread"]));
	}

	// news looks at what has changed, one time after the other.
	private async news(types: Set<string>): Promise<void> {
		if (this.refreshing) {
			this.again = true;
			return;
		}
		this.refreshing = this.look(types);
		await this.refreshing;
		this.refreshing = null;
		if (this.again) {
			this.again = false;
			await this.news(new Set(["Email", "Mailbox", "Thread"]));
		}
	}

	private async look(types: Set<string>): Promise<void> {
		try {
			const before = this.role("inbox")?.unreadEmails ?? 0;
			await Promise.all([this.loadBoxes(), types.has("Email") || types.has("Thread") ? this.list.refresh() : null, this.reading.refresh()]);
			const more = (this.role("inbox")?.unreadEmails ?? 0) - before;
			if (more > 0 && Date.now() - this.acted > 3000) this.arrived(more); // not what came back here
			if (this.offline) this.reachable(true);
		} catch (e) {
			this.failed(e);
		}
	}

	private arrived(n: number): void {
		this.notice({ text: texts.newArrived(n) });
		if (document.hidden && notifies()) {
			const row = this.list.rowAt(0);
			new Notification(texts.newArrived(n), { body: row ? `${row.mail.from?.[0]?.name || row.mail.from?.[0]?.email || ""}: ${row.mail.subject ?? ""}` : undefined, tag: "waxwing" });
		}
	}

	notice(n: Notice): void {
		this.notices.show(n);
	}

	failed(e: unknown): void {
		if (e instanceof LoggedOut) {
			location.href = `${document.body.dataset.login ?? "/login"}?next=${encodeURIComponent(location.pathname + location.search)}`;
		} else if (e instanceof Offline) {
			this.reachable(false);
		} else {
			this.notice({ text: texts.notDone(e instanceof Error ? e.message : String(e)), bad: true, seconds: 20 });
		}
	}

	private reachable(there: boolean): void {
		if (this.offline === !there) return;
		this.offline = !there;
		this.frame.classList.toggle("offline", !there);
		this.notice(there ? { text: texts.online } : { text: texts.offline, bad: true, seconds: 0 });
		if (there) this.refresh();
	}

	private async forget(): Promise<void> {
		await forget();
		for (const name of await caches.keys()) await caches.delete(name);
	}
}

async function main(): Promise<void> {
	try {
		await new Mail(await open()).begin();
	} catch (e) {
		if (e instanceof LoggedOut) {
			location.href = `${document.body.dataset.login ?? "/login"}?next=${encodeURIComponent(location.pathname + location.search)}`;
			return;
		}
		fill(document.body, h("main", {}, h("h1", {}, texts.name), h("p", {}, e instanceof Offline ? texts.offline : texts.notDone(String(e))), button(texts.again, () => location.reload(), { class: "first" })));
	}
}

// open asks who is logged in; without a network, it is who was.
async function open(): Promise<Client> {
	try {
		const c = await Client.open();
		void keep("session", c.session);
		return c;
	} catch (e) {
		const session = e instanceof Offline ? await kept("session") : undefined;
		if (!session) throw e;
		return new Client(session as Client["session"]);
	}
}

void main();
