// What was loaded, kept in the browser for when there is no network (MAIL-1). Logging out forgets it.

const name = "waxwing-mail";
const area = "loaded";

let opening: Promise<IDBDatabase | null> | null = null;

function open(): Promise<IDBDatabase | null> {
	opening ??= new Promise((resolve) => {
		const r = indexedDB.open(name, 1);
		r.onupgradeneeded = () => r.result.createObjectStore(area);
		r.onsuccess = () => resolve(r.result);
		r.onerror = r.onblocked = () => resolve(null); // a browser that keeps nothing: there is no offline
	});
	return opening;
}

export async function keep(key: string, value: unknown): Promise<void> {
	const db = await open();
	try {
		db?.transaction(area, "readwrite").objectStore(area).put(value, key);
	} catch {
		// full, or closing: it is a copy
	}
}

export async function kept(key: string): Promise<unknown> {
	const db = await open();
	if (!db) return undefined;
	return new Promise((resolve) => {
		const r = db.transaction(area).objectStore(area).get(key);
		r.onsuccess = () => resolve(r.result);
		r.onerror = () => resolve(undefined);
	});
}

export async function forget(): Promise<void> {
	const db = await open();
	db?.close();
	opening = null;
	await new Promise<void>((resolve) => {
		const r = indexedDB.deleteDatabase(name);
		r.onsuccess = r.onerror = r.onblocked = () => resolve();
	});
}
