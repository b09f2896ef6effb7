// The service worker: it keeps the page itself and its parts for when there is no network (MAIL-1). What the
// page has loaded of mail is kept by the page (store.ts).

interface Fetched extends Event {
	request: Request;
	respondWith(r: Promise<Response>): void;
}

const cache = "waxwing-shell";
const shell = "/mail/";

function isShell(r: Request, url: URL): boolean {
	return r.mode === "navigate" && r.method === "GET" && url.pathname.startsWith(shell) && !/^\/mail\/(letter|assets)\//.test(url.pathname) && r.destination === "document";
}

async function page(r: Request): Promise<Response> {
	try {
		const got = await fetch(r);
		if (got.ok && got.type === "basic" && !got.redirected) await (await caches.open(cache)).put(shell, got.clone());
		return got;
	} catch (e) {
		const kept = await caches.match(shell);
		if (kept) return kept;
		throw e;
	}
}

async function part(r: Request): Promise<Response> {
	const kept = await caches.match(r);
	if (kept) return kept;
	const got = await fetch(r);
	if (got.ok) await (await caches.open(cache)).put(r, got.clone());
	return got;
}

self.addEventListener("fetch", (e) => {
	const f = e as Fetched;
	const url = new URL(f.request.url);
	if (url.origin !== location.origin) return;
	if (isShell(f.request, url)) f.respondWith(page(f.request));
	else if (f.request.method === "GET" && /^\/(mail\/)?assets\//.test(url.pathname)) f.respondWith(part(f.request)); // their names change with them
});

self.addEventListener("activate", (e) => {
	// A new worker begins with an empty cache: what older pages had is fetched no more.
	(e as Event & { waitUntil(p: Promise<unknown>): void }).waitUntil(caches.delete(cache));
});
