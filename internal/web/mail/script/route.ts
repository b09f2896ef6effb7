// Addresses of what is shown (WEB-2): /mail/inbox, /mail/inbox/THREAD, /mail/box-ID/THREAD, /mail/search?q=WORDS,
// /mail/search/THREAD?q=WORDS, /mail/compose.

export const home = "/mail/";

export interface Route {
	place: string; // a role, "box-" and an id, "search", "compose"
	thread: string | null;
	query: URLSearchParams;
}

const token = /^[A-Za-z0-9_-]{1,255}$/;

export function parse(path: string, search: string): Route {
	const parts = path.slice(home.length).split("/").filter((p) => token.test(p));
	return { place: parts[0] ?? "inbox", thread: parts[1] ?? null, query: new URLSearchParams(search) };
}

export function write(place: string, thread: string | null = null, query?: URLSearchParams): string {
	const q = query?.toString();
	return home + place + (thread ? "/" + thread : "") + (q ? "?" + q : "");
}
