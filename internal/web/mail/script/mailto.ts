import { Draft } from "./app";

// draftOf reads a mailto address (RFC 6068).
export function draftOf(mailto: string): Draft {
	const d: Draft = { action: "new" };
	const m = /^mailto:([^?]*)(?:\?(.*))?$/is.exec(mailto);
	if (!m) return d;
	const list = (s: string) => s.split(",").map((a) => a.trim()).filter(Boolean).map((email) => ({ name: null, email }));
	const decode = (s: string) => {
		try {
			return decodeURIComponent(s);
		} catch {
			return s;
		}
	};
	d.to = list(decode(m[1]));
	for (const pair of (m[2] ?? "").split("&")) {
		const [name, value] = [pair.slice(0, pair.indexOf("=")).toLowerCase(), decode(pair.slice(pair.indexOf("=") + 1))];
		if (name === "to") d.to.push(...list(value));
		else if (name === "cc") d.cc = list(value);
		else if (name === "bcc") d.bcc = list(value);
		else if (name === "subject") d.subject = value.replace(/[\r\n]+/g, " ");
		else if (name === "body") d.text = value;
	}
	return d;
}
