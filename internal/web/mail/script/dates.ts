// How dates, sizes and people are written.

import { Address } from "./types";
import { texts } from "./texts";

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const monthly = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const year = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const whole_ = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

// short is a date as the list has it.
export function short(at: string, now = new Date()): string {
	const d = new Date(at);
	if (isNaN(d.getTime())) return "";
	if (d.toDateString() === now.toDateString()) return time.format(d);
	return (d.getFullYear() === now.getFullYear() ? monthly : year).format(d);
}

export function long(at: string): string {
	const d = new Date(at);
	return isNaN(d.getTime()) ? at : full.format(d);
}

// day is a date without a time.
export function day(d: Date): string {
	return whole_.format(d);
}

// hour is the time of a day.
export function hour(d: Date): string {
	return time.format(d);
}

export function size(octets: number): string {
	for (const [of, name] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]] as const) {
		if (octets >= of) return (octets / of).toLocaleString(undefined, { maximumFractionDigits: 1 }) + " " + name;
	}
	return `${octets} B`;
}

// who is how a person is called, briefly.
export function who(a: Address): string {
	return a.name?.trim() || a.email;
}

export function whole(a: Address): string {
	return a.name?.trim() ? `${a.name.trim()} <${a.email}>` : a.email;
}

// people are those of a thread, each once, in order.
export function people(all: (Address[] | null)[], own: Set<string>): string {
	const seen = new Map<string, string>();
	for (const a of all.flatMap((x) => x ?? [])) {
		const key = a.email.toLowerCase();
		if (!seen.has(key)) seen.set(key, own.has(key) ? texts.me : who(a));
	}
	const names = [...seen.values()];
	if (names.length === 0) return texts.nobody;
	if (names.length === 1) return names[0];
	return names.map((n) => (n.includes("@") ? n.split("@")[0] : n.split(/[\s,]+/)[0])).join(", ");
}
