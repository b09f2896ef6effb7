// The text of a mail: its lines, with quotes folded and links marked (MAIL-2). All of it becomes text nodes.

import { Child, h, safe } from "./dom";
import { without } from "./flowed";
import { texts } from "./texts";

interface Line {
	depth: number; // how often it is quoted
	text: string;
}

// linesOf reads text as RFC 3676 has quotes: any number of > at the start.
export function linesOf(text: string): Line[] {
	return without(text.replace(/\r\n?/g, "\n"), "\n").split("\n").map((line) => {
		const quoted = /^(?:> ?)*>?/.exec(line)?.[0] ?? "";
		const depth = quoted.replace(/[^>]/g, "").length;
		return depth ? { depth, text: line.slice(quoted.length) } : { depth: 0, text: line };
	});
}

// Repetitions have bounds: one without is tried anew at each character of what a stranger has written, to its end.
const address = /\bhttps?:\/\/[^\s<>"'`\u0000-\u0020]{1,2000}|\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,10}\b/g;

// linked is a text in which addresses are links. What stands at the end of a sentence is no part of one.
export function linked(text: string): Child[] {
	const out: Child[] = [];
	let last = 0;
	for (const m of text.matchAll(address)) {
		let found = m[0].replace(/[.,;:!?'"]+$/, "");
		while (found.endsWith(")") && !found.includes("(")) found = found.slice(0, -1);
		const href = /^https?:/i.test(found) ? found : "mailto:" + found;
		if (!safe(href)) continue;
		out.push(text.slice(last, m.index), h("a", { href, target: href.startsWith("mailto:") ? undefined : "_blank", rel: "noopener noreferrer" }, found));
		last = (m.index ?? 0) + found.length;
	}
	out.push(text.slice(last));
	return out;
}

const foldFrom = 4; // shorter quotes stay open

// written is a text as it is shown.
export function written(text: string): HTMLElement {
	const root = h("div", { class: "text", dir: "auto" });
	const lines = linesOf(text);
	let at = 0;
	while (at < lines.length) {
		const quoted = lines[at].depth > 0;
		let end = at;
		while (end < lines.length && lines[end].depth > 0 === quoted && !(end > at && !quoted && lines[end].text === "-- ")) end++;
		const some = lines.slice(at, end);
		if (quoted) root.append(fold(some.length >= foldFrom, texts.quote(some.length), quote(some, 1)));
		else if (some[0].text === "-- ") root.append(fold(true, texts.signatureFold, h("div", { class: "plain" }, plain(some))));
		else root.append(h("div", { class: "plain" }, plain(some)));
		at = end;
	}
	return root;
}

function fold(closed: boolean, label: string, inner: HTMLElement): HTMLElement {
	return closed ? h("details", { class: "quoted" }, h("summary", {}, label), inner) : inner;
}

function plain(lines: Line[]): Child[] {
	return lines.flatMap((l, i) => [...linked(l.text), i < lines.length - 1 ? "\n" : ""]);
}

const deepest = 12; // of quotes in quotes

function quote(lines: Line[], depth: number): HTMLElement {
	const e = h("blockquote", {});
	let at = 0;
	while (at < lines.length) {
		const inner = lines[at].depth > depth && depth < deepest;
		let end = at;
		while (end < lines.length && (lines[end].depth > depth && depth < deepest) === inner) end++;
		const some = lines.slice(at, end);
		e.append(inner ? quote(some, depth + 1) : h("div", { class: "plain" }, plain(some)));
		at = end;
	}
	return e;
}

// flow puts lines together that a program had parted because they were long (RFC 3676).
export function flow(text: string, delSp: boolean): string {
	const out: Line[] = [];
	let open = false;
	for (const raw of text.replace(/\r\n?/g, "\n").split("\n")) {
		const m = /^(>*) ?(.*)$/.exec(raw);
		const [depth, rest] = [m?.[1].length ?? 0, m?.[2] ?? raw];
		const last = out[out.length - 1];
		const soft = rest.endsWith(" ") && rest !== "-- ";
		const t = soft && delSp ? rest.slice(0, -1) : rest;
		if (open && last && last.depth === depth && rest !== "-- ") last.text += t;
		else out.push({ depth, text: t });
		open = soft;
	}
	return out.map((l) => (l.depth ? ">".repeat(l.depth) + " " : "") + l.text).join("\n");
}
