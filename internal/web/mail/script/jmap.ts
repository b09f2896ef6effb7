// A client of JMAP (RFC 8620) for one account of the server that this page comes from. What it asks goes
// to that server alone: of the URLs in the session resource only the paths are used.

export type Args = Record<string, unknown>;
export type Call = [name: string, args: Args];
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Result = any;

export interface Session {
	username: string;
	capabilities: Record<string, Record<string, unknown>>;
	accounts: Record<string, { name: string; accountCapabilities: Record<string, Record<string, unknown>> }>;
	primaryAccounts: Record<string, string>;
	apiUrl: string;
	downloadUrl: string;
	uploadUrl: string;
	eventSourceUrl: string;
	state: string;
}

export interface Uploaded {
	blobId: string;
	type: string;
	size: number;
}

// A method said no (RFC 8620 §3.6.2).
export class MethodError extends Error {
	constructor(readonly method: string, readonly type: string, description: string) {
		super(description || type);
	}
}

// Nobody is logged in any more.
export class LoggedOut extends Error {}

// The server cannot be reached.
export class Offline extends Error {}

// The server refused a whole request.
export class Refused extends Error {
	constructor(readonly status: number, text: string) {
		super(text);
	}
}

const mail = "urn:ietf:params:jmap:mail";

// atOnce is how many requests run at the same time; the server takes 8 of an account, of all its windows.
const atOnce = 3;

export class Client {
	readonly accountId: string;
	private readonly using: string[];
	private running = 0;
	private waiting: (() => void)[] = [];
	// What is called with the session state of an answer that is not the one known here.
	onSessionState: (() => void) | null = null;

	constructor(readonly session: Session) {
		this.accountId = session.primaryAccounts[mail];
		this.using = Object.keys(session.capabilities);
	}

	static async open(): Promise<Client> {
		const r = await reach("/jmap/session", { headers: { Accept: "application/json" } });
		return new Client(await r.json());
	}

	// has tells whether the server has a capability.
	has(capability: string): boolean {
		return capability in this.session.capabilities;
	}

	// call is one method call; its result, or a MethodError.
	async call(name: string, args: Args): Promise<Result> {
		return (await this.batch([[name, args]]))[0];
	}

	// batch is several in one request, in order: their results, or the MethodError of the first that failed.
	// A call may refer to the result of an earlier one, which has its index as its id: {"#ids": {resultOf: "0", name, path}}.
	async batch(calls: Call[]): Promise<Result[]> {
		const all = await this.settled(calls);
		for (const r of all) {
			if (r instanceof MethodError) throw r;
		}
		return all;
	}

	// settled is batch where a call that failed has its MethodError in place of a result.
	async settled(calls: Call[]): Promise<Result[]> {
		const methodCalls = calls.map(([name, args], i) => [name, name === "Core/echo" ? args : { accountId: this.accountId, ...args }, String(i)]);
		const r = await this.turn(() => reach(path(this.session.apiUrl), {
			method: "POST",
			headers: { "Content-Type": "application/json", Accept: "application/json" },
			body: JSON.stringify({ using: this.using, methodCalls }),
		}));
		const doc: { methodResponses: [string, Result, string][]; sessionState: string } = await r.json();
		if (doc.sessionState !== this.session.state) this.onSessionState?.();
		return calls.map(([name], i) => {
			const found = doc.methodResponses.find((x) => x[2] === String(i));
			if (!found) return new MethodError(name, "serverPartialFail", "");
			return found[0] === "error" ? new MethodError(name, found[1].type, found[1].description ?? "") : found[1];
		});
	}

	async upload(file: Blob): Promise<Uploaded> {
		const r = await this.turn(() => reach(path(this.session.uploadUrl).replace("{accountId}", encodeURIComponent(this.accountId)), {
			method: "POST",
			headers: { "Content-Type": file.type || "application/octet-stream" },
			body: file,
		}));
		return r.json();
	}

	downloadURL(blobId: string, name: string, type: string): string {
		return path(this.session.downloadUrl)
			.replace("{accountId}", encodeURIComponent(this.accountId))
			.replace("{blobId}", encodeURIComponent(blobId))
			.replace("{name}", encodeURIComponent(name || "file").replace(/^\.+$/, "file"))
			.replace("{type}", encodeURIComponent(type || "application/octet-stream"));
	}

	// events is where the server tells of changes (RFC 8620 §7.3).
	eventsURL(types: string[], ping: number): string {
		return path(this.session.eventSourceUrl).replace("{types}", types.join(",")).replace("{closeafter}", "no").replace("{ping}", String(ping));
	}

	private async turn<T>(run: () => Promise<T>): Promise<T> {
		if (this.running >= atOnce) await new Promise<void>((resolve) => this.waiting.push(resolve));
		else this.running++;
		try {
			return await run();
		} finally {
			const next = this.waiting.shift();
			if (next) next();
			else this.running--;
		}
	}
}

// path is a URL without its scheme and host; what is in braces stays as it is.
function path(url: string): string {
	return url.replace(/^[a-z]+:\/\/[^/]*/i, "");
}

async function reach(where: string, init: RequestInit): Promise<Response> {
	let r: Response;
	try {
		r = await fetch(where, { credentials: "same-origin", redirect: "error", cache: "no-store", ...init });
	} catch (e) {
		throw new Offline(String(e));
	}
	if (r.status === 401) throw new LoggedOut();
	if (!r.ok) {
		const text = await r.text();
		let detail = text;
		try {
			detail = JSON.parse(text).detail ?? text;
		} catch {
			// it is no problem document, and says what it says
		}
		throw new Refused(r.status, detail.slice(0, 500));
	}
	return r;
}
