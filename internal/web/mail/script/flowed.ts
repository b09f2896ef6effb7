// Plain text as it is sent: format=flowed (RFC 3676), so that it reads well on a phone and on a terminal.

const width = 72;

export interface Line {
	Depth: number;
	Text: string;
}

// without is a text without a character at its end, however often it stands there. An expression that looks for it would begin anew at
// each of them, and take minutes for what a stranger has written.
export function without(text: string, last: string): string {
	let end = text.length;
	while (end > 0 && text[end - 1] === last) end--;
	return text.slice(0, end);
}

// flowed writes text whose lines are paragraphs; lines that begin with ">" are quotes.
export function flowed(text: string): string {
	return text.replace(/\r\n?/g, "\n").split("\n").map(paragraph).join("\n");
}

function paragraph(line: string): string {
	const quote = /^(?:> ?)*/.exec(line)?.[0] ?? "";
	const depth = quote.replace(/[^>]/g, "").length;
	const mark = depth ? ">".repeat(depth) + " " : "";
	let rest = depth ? line.slice(quote.length) : line;
	if (rest === "-- ") return mark + rest;
	rest = without(rest, " "); // a blank at the end would have it go on
	const stuff = (s: string) => (!mark && /^(?: |>|From )/.test(s) ? " " + s : s);
	const out: string[] = [];
	while (rest.length > width) {
		let at = rest.lastIndexOf(" ", width);
		if (at <= 0) at = rest.indexOf(" ", width);
		if (at <= 0) break;
		out.push(mark + stuff(rest.slice(0, at + 1)));
		rest = rest.slice(at + 1);
	}
	out.push(mark + stuff(rest));
	return out.join("\n");
}

// quoted writes lines one level deeper.
export function quoted(lines: Line[]): string {
	return lines.map((l) => ">".repeat(l.Depth + 1) + (l.Text ? " " + l.Text : "")).join("\n");
}

// unquoted is what of a text its writer has said.
export function unquoted(text: string): string {
	return text.split("\n").filter((l) => !l.startsWith(">")).join("\n");
}

// mentions tells whether a text speaks of an attachment.
export function mentions(text: string): boolean {
	return /(?:\battach(?:ed|ing|ment|ments)?\b|\benclosed\b|\bsee the file\b|\banbei\b|\banhang\b|\bangehängt\b|\bim anhang\b|\bbeigefügt\b)/iu.test(unquoted(text));
}
