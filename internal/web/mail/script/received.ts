// What is known of who sent a mail and how it came, in words and with one mark (MAIL-3). This chooses words for
// facts; what the facts mean was decided when the mail came.

import { Email, Facts, Received } from "./types";
import { texts } from "./texts";

export type Tone = "good" | "bad" | "waits" | "";

export interface Verdict {
	tone: Tone;
	says: string; // the mark in words
	lines: { tone: Tone; text: string }[];
	warnings: string[];
}

const t = texts.proof;

// decide puts into words what Travel/get has of a received mail. own are the account's addresses.
export function decide(mail: Email, received: Received | null, own: Set<string>): Verdict {
	const v: Verdict = { tone: "", says: t.unknown, lines: [], warnings: [] };
	const f = received?.facts ?? null;
	const from = mail.from?.[0]?.email ?? "";
	if (f) authentic(v, f, domainOf(from));
	else if (own.has(from.toLowerCase()) || received === null) v.says = own.has(from.toLowerCase()) ? t.own : t.unknown;
	way(v, mail["header:Received:asRaw:all"]?.[0] ?? "", f);
	v.warnings = warnings(mail, received, own);
	return v;
}

function authentic(v: Verdict, f: Facts, domain: string): void {
	const dmarc = f.dmarc?.find((d) => d.from.toLowerCase() === domain) ?? f.dmarc?.[0];
	const signed = (f.dkim ?? []).filter((s) => s.result === "pass" && s.domain);
	const spf = (f.spf ?? []).find((s) => s.identity === "mailfrom" && s.result === "pass");
	const say = (tone: Tone, text: string) => v.lines.push({ tone, text });
	let secure = false;
	switch (dmarc?.result) {
		case "pass": {
			const by = dmarc.aligned_dkim?.length ? t.byDKIM(dmarc.aligned_dkim.join(", ")) : t.bySPF;
			[v.tone, v.says, secure] = ["good", t.from(dmarc.from), dmarc.dnssec];
			say("good", t.byDMARC(dmarc.from, by));
			break;
		}
		case "fail":
			[v.tone, v.says, secure] = ["bad", t.forged(dmarc.from), dmarc.dnssec];
			say("bad", t.failedDMARC(dmarc.from, dmarc.policy || "none"));
			break;
		case "temperror":
			[v.tone, v.says] = ["waits", t.late];
			break;
		default: {
			const fits = signed.find((s) => related(s.domain ?? "", domain)) ?? (spf && related(spf.domain, domain) ? spf : undefined);
			secure = fits?.dnssec ?? false;
			if (fits) [v.tone, v.says] = ["good", t.from(domain)];
			else [v.tone, v.says] = ["waits", t.unproven(domain)];
			say("", t.noDMARC(domain));
		}
	}
	const vouches = f.trusted_by?.[0]; // a name that the operator trusts, and that is proven to be who it says
	if (dmarc?.result === "fail" && vouches) [v.tone, v.says] = ["waits", t.forwarded(vouches)];
	for (const s of signed) say("good", t.signedBy(s.domain ?? ""));
	for (const s of f.dkim ?? []) {
		if (s.result === "fail" && s.domain) say("bad", t.badSignature(s.domain));
	}
	if (spf) say("good", t.sentBy(spf.domain));
	if (f.arc?.result === "pass") say("", t.arc(f.arc.sealer ?? "", f.arc.sets));
	if (v.tone === "good") say(secure ? "good" : "", secure ? t.secure : t.insecure);
}

// way says how the mail came over its last stretch, which the topmost Received field tells: this server wrote it.
function way(v: Verdict, field: string, f: Facts | null): void {
	const line = field.replace(/\s+/g, " ");
	const tls = /\((TLS[\d.]+)( REQUIRETLS)?\)/.exec(line);
	const from = f?.iprev.name || f?.helo;
	if (from) v.lines.push({ tone: "", text: t.host(from) });
	if (!f && /\bwith (UTF8)?E?SMTPS?A\b/.test(line)) v.lines.push({ tone: "", text: t.inside });
	if (tls) v.lines.push({ tone: "good", text: t.tls(tls[1].replace("TLS", "TLS ")) });
	else if (f) v.lines.push({ tone: "bad", text: t.plain });
	if (tls?.[2]) v.lines.push({ tone: "good", text: t.required });
}

function warnings(mail: Email, received: Received | null, own: Set<string>): string[] {
	const out: string[] = [];
	const from = mail.from?.[0];
	if (!from || own.has(from.email.toLowerCase())) return out;
	const domain = domainOf(from.email);
	const inName = /[^\s<>"(),;:]+@[^\s<>"(),;:]+\.[^\s<>"(),;:]+/.exec((from.name ?? "").slice(0, 300)); // a name can be as long as its sender wants
	if (inName && inName[0].toLowerCase() !== from.email.toLowerCase()) out.push(texts.warn.otherAddress(inName[0], from.email));
	if (mixed(domain)) out.push(texts.warn.foreignLetters(domain));
	for (const mine of new Set([...own].map(domainOf))) {
		if (lookalike(domain, mine)) out.push(texts.warn.lookalike(domain, mine));
	}
	if (received?.facts && received.junk?.evidence?.some((e) => e.reason === "first-contact")) out.push(texts.warn.first);
	const reply = mail.replyTo?.[0]?.email;
	if (reply && !mail["header:List-Id:asText"] && !related(domainOf(reply), domain)) out.push(texts.warn.replyElsewhere(reply));
	return out;
}

export function domainOf(address: string): string {
	return address.slice(address.lastIndexOf("@") + 1).toLowerCase();
}

// related tells whether one domain is the other or lies below it.
export function related(a: string, b: string): boolean {
	return a === b || a.endsWith("." + b) || b.endsWith("." + a);
}

const twins: [RegExp, string][] = [
	[/[аạàáâäãå]/g, "a"], [/[еẹèéêë]/g, "e"], [/[оọòóôöõ0]/g, "o"], [/[рρ]/g, "p"], [/[сç]/g, "c"], [/[уýÿ]/g, "y"], [/[хχ]/g, "x"],
	[/[іìíîï1l|ӏ]/g, "i"], [/[ѕ5]/g, "s"], [/[ԁ]/g, "d"], [/[ԛ]/g, "q"], [/[ɡ]/g, "g"], [/[νѵ]/g, "v"], [/[ñ]/g, "n"], [/[ùúûü]/g, "u"], [/rn/g, "m"], [/vv/g, "w"], [/-/g, ""],
];

// shape is what a domain looks like at a glance.
function shape(domain: string): string {
	return twins.reduce((s, [of, as]) => s.replace(of, as), domain);
}

// lookalike tells whether a domain could be taken for another one.
export function lookalike(domain: string, like: string): boolean {
	if (related(domain, like) || !like.includes(".")) return false;
	if (shape(domain) === shape(like)) return true;
	const [a, b] = [shape(domain), shape(like)];
	return a.length > 7 && near(a, b);
}

// near tells whether one edit makes one text of the other, or two neighbours that change places.
function near(a: string, b: string): boolean {
	let start = 0;
	while (start < a.length && start < b.length && a[start] === b[start]) start++;
	let end = 0;
	while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
	const [x, y] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
	return (x.length <= 1 && y.length <= 1) || (x.length === 2 && y.length === 2 && x[0] === y[1] && x[1] === y[0]);
}

// mixed tells whether a label has letters of several alphabets.
function mixed(domain: string): boolean {
	return domain.split(".").some((label) => [/\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u].filter((r) => r.test(label)).length > 1);
}
