// Where the copies of a sent mail are, and how they travelled (MAIL-6), in the words of the decision that was made for each host.

import { App } from "./app";
import { add, Child, fill, h } from "./dom";
import { long } from "./dates";
import { texts } from "./texts";

const t = texts.travel;

interface Why {
	word: string;
	text?: string;
}

interface Checked extends Why {
	ok: boolean;
}

interface Session {
	addr: string;
	plaintext?: boolean;
	tls?: { version: string; cipher: string };
	tls_failure?: Why;
	pkix?: Checked;
	dane?: Checked;
	error?: Why;
}

interface Host {
	host: string;
	skip?: Why;
	verify: string;
	basis?: Why[];
	sessions?: Session[];
}

interface Recipient {
	recipient: string;
	state: string;
	due: string;
	attempts: number;
	word?: string;
	text?: string;
	reply?: string;
	host?: string;
	tls?: string;
	last?: Why;
}

interface Attempt {
	domain: string;
	detail: { recipients?: { address: string; outcome: string; host?: string }[]; stop?: Why; hosts?: Host[] };
}

export interface Sent {
	id: string;
	recipients: Recipient[];
	attempts: Attempt[];
	copies: { mailbox: string }[];
	history_over?: boolean;
	meanings?: Record<string, { meaning: string; cure?: string }>;
}

const every = 2_000; // milliseconds between two looks, while something is on its way
const longest = 30; // looks, one after the other; then less often

// sentProof is shown below a mail that was sent from here, and looks again for as long as some of it is on its way.
export function sentProof(app: App, given: unknown, mail: string): HTMLElement | null {
	let sent = given as Sent;
	if (!sent?.recipients) return null;
	const box = h("div", { class: "travel", role: "group", "aria-label": t.where });
	const status = h("p", { class: "hidden", role: "status" });
	const list = h("div", {});
	box.append(list, status);
	let looks = 0;
	const draw = () => fill(list, shown(sent));
	const look = async () => {
		if (!box.isConnected && looks > 0) return; // the reader has gone on
		looks++;
		try {
			const r = await app.client.call("Travel/get", { ids: [mail] });
			const now = r.list[0]?.sent as Sent | null;
			if (now && JSON.stringify(now) !== JSON.stringify(sent)) {
				const before = states(sent);
				sent = now;
				draw();
				if (states(now) !== before) fill(status, states(now));
			}
		} catch {
			// it is looked again
		}
		again();
	};
	const again = () => {
		if (onItsWay(sent)) window.setTimeout(() => void look(), looks < longest ? every : 10 * every);
	};
	draw();
	again();
	return box;
}

export function onItsWay(s: Sent): boolean {
	return s.recipients.some((r) => r.state === "waiting" || r.state === "leased");
}

function states(s: Sent): string {
	return s.recipients.map((r) => `${r.recipient}: ${t.states[r.state] ?? r.state}`).join("; ");
}

function shown(s: Sent): Child[] {
	if (s.history_over) return [h("h3", {}, t.where), h("p", {}, t.over)];
	return [h("h3", {}, t.where), h("ul", { class: "places" }, s.recipients.map((r) => place(s, r)))];
}

function place(s: Sent, r: Recipient): HTMLElement {
	const tone = r.state === "delivered" ? "good" : r.state === "failed" ? "bad" : "waits";
	const item = h("li", { data: { recipient: r.recipient, state: r.state } },
		h("p", {}, h("span", { class: "who" }, t.to(r.recipient)), " ", h("span", { class: `tone-${tone}` }, t.states[r.state] ?? r.state)));
	const host = hostOf(s, r);
	add(item, r.state === "delivered" ? delivered(r, host) : r.state === "failed" || r.word ? trouble(s, r) : []);
	if (r.state === "waiting") add(item, [h("p", { class: "help" }, (r.attempts ? t.next : t.sendAt)(long(r.due)))]);
	if (host?.basis?.length) {
		add(item, [h("details", {}, h("summary", {}, t.because), h("ul", { class: "lines" }, host.basis.map((b) => h("li", { data: { word: b.word } }, meaning(s, b)))))]);
	}
	return item;
}

// hostOf is the host that took the mail, or was tried last, in the newest attempt at the recipient.
function hostOf(s: Sent, r: Recipient): Host | undefined {
	for (const a of [...s.attempts].reverse()) {
		const mine = a.detail.recipients?.find((x) => x.address === r.recipient);
		if (!mine) continue;
		const all = a.detail.hosts ?? [];
		return all.find((x) => x.host === (mine.host || r.host)) ?? all[all.length - 1];
	}
	return undefined;
}

function delivered(r: Recipient, host: Host | undefined): Child[] {
	const session = host?.sessions?.[host.sessions.length - 1];
	if (!host || !session) return [h("p", {}, r.host ? t.handed(r.host) : t.here)];
	const tls = session.tls;
	return [
		h("p", {}, t.handed(host.host), " ", tls ? t.tls(tls.version.replace("TLS1", "TLS 1"), tls.cipher) : t.noTLS, " ", t.verified[host.verify] ?? host.verify),
		[session.dane, session.pkix].filter((c): c is Checked => c !== undefined && !c.ok).map((c) => h("p", { class: "notice waits" }, t.failedCheck(c.text || c.word))),
	];
}

function trouble(s: Sent, r: Recipient): Child[] {
	const why: Why | undefined = r.last ?? (r.word ? { word: r.word, text: r.text } : undefined);
	const cure = why && s.meanings?.[why.word]?.cure;
	return [why ? h("p", {}, meaning(s, why)) : null, r.reply ? h("p", { class: "help" }, t.answer(r.reply)) : null, cure ? h("p", {}, t.what(cure)) : null];
}

function meaning(s: Sent, w: Why): string {
	const m = s.meanings?.[w.word]?.meaning ?? w.word;
	return w.text && w.text !== m ? `${m}: ${w.text}` : m;
}

