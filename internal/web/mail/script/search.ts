// What people type into the search, as a filter of JMAP: words, "several words", and fields such as from:joe,
// subject:"the plan", has:attachment, is:unread, before:2026-03-01, larger:2M, in:archive. A minus in front means: not.

import { Mailbox } from "./types";

export type Filter = { operator: "AND" | "OR" | "NOT"; conditions: Filter[] } | Record<string, unknown>;

export interface Term {
	field: string; // "": anywhere in the mail
	value: string;
	not: boolean;
}

const texts = new Set(["from", "to", "cc", "bcc", "subject", "body"]);
export const fields = ["from:", "to:", "cc:", "subject:", "body:", "has:attachment", "is:unread", "is:flagged", "is:answered", "before:", "after:", "larger:", "smaller:", "in:"];

// terms takes a search apart.
export function terms(text: string): Term[] {
	const out: Term[] = [];
	for (const m of text.matchAll(/(-?)(?:([a-z]+):)?(?:"([^"]*)"?|(\S+))/gi)) {
		const field = (m[2] ?? "").toLowerCase();
		const value = (m[3] ?? m[4] ?? "").trim();
		if (value) out.push(known(field) ? { field, value, not: m[1] === "-" } : { field: "", value: m[2] ? `${m[2]}:${value}` : value, not: m[1] === "-" });
	}
	return out;
}

function known(field: string): boolean {
	return texts.has(field) || ["has", "is", "before", "after", "larger", "smaller", "in"].includes(field);
}

// word writes a term, so that terms reads the same again.
export function word(field: string, value: string): string {
	const clean = value.replace(/"/g, "").trim();
	return clean && (field ? field + ":" : "") + (/\s|:|^-/.test(clean) ? `"${clean}"` : clean);
}

function size(value: string): number | null {
	const m = /^(\d+(?:\.\d+)?)\s*([kmg]?)b?$/i.exec(value);
	return m ? Math.round(Number(m[1]) * { "": 1, k: 1e3, m: 1e6, g: 1e9 }[m[2].toLowerCase() as "" | "k" | "m" | "g"]) : null;
}

function date(value: string): string | null {
	const d = /^\d{4}-\d{2}-\d{2}$/.test(value) ? new Date(value + "T00:00:00") : new Date(NaN);
	return isNaN(d.getTime()) ? null : d.toISOString().replace(/\.\d+/, "");
}

function condition(t: Term, boxes: Mailbox[]): Filter {
	const asText = { text: t.field ? `${t.field}:${t.value}` : t.value };
	const value = t.value.toLowerCase();
	switch (t.field) {
		case "has":
			return value.startsWith("attach") ? { hasAttachment: true } : asText;
		case "is":
			return { unread: { notKeyword: "$seen" }, read: { hasKeyword: "$seen" }, flagged: { hasKeyword: "$flagged" }, answered: { hasKeyword: "$answered" } }[value] ?? asText;
		case "before":
		case "after": {
			const d = date(t.value);
			return d ? { [t.field]: d } : asText;
		}
		case "larger":
		case "smaller": {
			const n = size(t.value);
			return n === null ? asText : { [t.field === "larger" ? "minSize" : "maxSize"]: n };
		}
		case "in": {
			const b = boxes.find((x) => x.role === value) ?? boxes.find((x) => x.name.toLowerCase() === value);
			return b ? { inMailbox: b.id } : asText;
		}
		case "":
			return asText;
	}
	return { [t.field]: t.value };
}

// filter is what a search asks for. Junk and Trash are left out unless it names a mailbox.
export function filter(text: string, boxes: Mailbox[]): Filter {
	const all = terms(text);
	const conditions = all.map((t) => {
		const c = condition(t, boxes);
		return t.not ? { operator: "NOT" as const, conditions: [c] } : c;
	});
	const aside = boxes.filter((b) => b.role === "junk" || b.role === "trash").map((b) => b.id);
	if (!all.some((t) => t.field === "in") && aside.length) conditions.push({ inMailboxOtherThan: aside });
	return conditions.length === 1 ? conditions[0] : { operator: "AND", conditions };
}
