// How a mail will travel: five bars for each recipient (MAIL-5). What they say the server has decided (package bars); here they
// are asked for when an address is complete, kept for a while, and put into words.

import { App } from "./app";
import { add, fill, h } from "./dom";
import { texts } from "./texts";

const t = texts.compose;

export interface Bar {
	state: "ok" | "bad" | "error" | "unknown";
	word: string;
	at?: string;
	detail?: string;
}

export interface Bars {
	starttls: Bar;
	mta_sts: Bar;
	dnssec: Bar;
	dane: Bar;
	requiretls: Bar;
	whole: boolean;
	capable: boolean;
	stop?: { word: string; text?: string; meaning?: string };
}

export const names = ["starttls", "mta_sts", "dnssec", "dane", "requiretls"] as const;

const late: Bar = { state: "unknown", word: "late" };
const empty: Bars = { starttls: late, mta_sts: late, dnssec: late, dane: late, requiretls: late, whole: false, capable: false };

const keptFor = 10 * 60 * 1000;
const again = [2_000, 5_000, 15_000]; // after which a late answer is asked for again

interface Known {
	bars: Bars;
	at: number;
	asking: boolean;
}

// Lookup keeps what is known of domains.
export class Lookup {
	private known = new Map<string, Known>();

	constructor(private readonly app: App, private readonly changed: (domain: string) => void) {}

	// of is what is known now, at once; what is missing is asked for.
	of(address: string): Bars {
		const domain = address.slice(address.lastIndexOf("@") + 1).toLowerCase();
		let k = this.known.get(domain);
		if (!k) {
			k = { bars: empty, at: 0, asking: false };
			this.known.set(domain, k);
		}
		if (!k.asking && Date.now() - k.at > keptFor) void this.ask(address, domain, k);
		return k.bars;
	}

	private async ask(address: string, domain: string, k: Known): Promise<void> {
		k.asking = true;
		const one = async (explain: boolean) => {
			const r = await this.app.client.call("Posture/get", { addresses: [address], explain });
			const bars = r.list[0]?.bars as Bars | undefined;
			if (!bars) return false;
			if (!k.bars.whole || bars.whole) k.bars = bars;
			this.changed(domain);
			return bars.whole;
		};
		try {
			void one(false).catch(() => undefined); // what deliveries have shown is there at once
			for (const wait of [0, ...again]) {
				if (wait) await new Promise((done) => window.setTimeout(done, wait));
				if (await one(true)) {
					k.at = Date.now();
					break;
				}
			}
		} catch {
			// nothing is known, and the bars say so
		}
		k.asking = false;
	}
}

// means is what all of it comes to for this mail.
export function means(b: Bars): string {
	if (b.stop) return t.means.stop(b.stop.meaning || b.stop.text || b.stop.word);
	if (b.dane.word === "here") return t.means.here;
	if (b.dane.state === "error" || b.mta_sts.state === "error") return t.means.broken;
	if (b.dane.state === "ok" || b.mta_sts.state === "ok") return t.means.verified;
	return b.whole && b.dane.state !== "unknown" ? t.means.opportunistic : t.means.unknown;
}

// row is one recipient with the five bars, and with a sentence for each below.
export function row(address: string, b: Bars): HTMLElement {
	const marks = names.map((n) => h("span", { class: `secbar ${b[n].state}`, role: "img", "aria-label": `${t.bars[n]}: ${t.states[b[n].state]}`, title: `${t.bars[n]}: ${t.states[b[n].state]}` }));
	const lines = names.map((n) => {
		const x = b[n];
		return h("li", { class: x.state }, h("strong", {}, `${t.bars[n]}: ${t.states[x.state]}. `), t.whatItIs[n], " ", t.words[x.word] ?? x.word, x.detail ? ` (${x.detail})` : "");
	});
	return h("details", { class: "secrow", data: { address, whole: String(b.whole) } },
		h("summary", {}, h("bdi", { class: "who" }, address), h("span", { class: "secbars" }, marks), h("span", { class: "says" }, means(b))), h("ul", {}, lines));
}

export type Choice = "follow" | "require" | "optional";

// Security shows the bars of all recipients, and lets the sender choose.
export class Security {
	readonly element: HTMLElement;
	private readonly list = h("div", { class: "secrows" });
	private readonly select: HTMLSelectElement;
	private readonly says = h("p", { class: "help", role: "status" });
	private readonly lookup: Lookup;
	private addresses: string[] = [];
	private touched = false;

	// toList: the mail answers a list, to which nothing is required by itself (RFC 8689 §5).
	constructor(app: App, private readonly toList: boolean) {
		this.lookup = new Lookup(app, () => this.draw());
		this.select = h("select", { id: "compose-tls", on: { change: () => { this.touched = true; this.choose(); } } },
			(["follow", "require", "optional"] as const).map((c) => h("option", { value: c }, t.choices[c])));
		this.element = h("section", { class: "security", "aria-label": t.security }, h("h3", {}, t.security), this.list,
			h("div", { class: "field" }, h("label", { for: "compose-tls" }, t.choice), this.select), this.says);
		this.draw();
	}

	get choice(): Choice {
		return this.select.value as Choice;
	}

	show(addresses: string[]): void {
		this.addresses = [...new Set(addresses.map((a) => a.toLowerCase()))];
		this.draw();
	}

	private draw(): void {
		const open = new Set([...this.list.querySelectorAll<HTMLDetailsElement>("details[open]")].map((d) => d.dataset.address));
		const focused = this.list.contains(document.activeElement) ? (document.activeElement?.parentElement as HTMLElement | null)?.dataset.address : undefined;
		const all = this.addresses.map((a) => ({ a, b: this.lookup.of(a) }));
		fill(this.list);
		add(this.list, all.length ? all.map(({ a, b }) => row(a, b)) : [h("p", { class: "help" }, t.securityNone)]);
		for (const d of this.list.querySelectorAll<HTMLDetailsElement>("details")) {
			if (open.has(d.dataset.address)) d.open = true;
			if (focused && d.dataset.address === focused) d.querySelector("summary")?.focus();
		}
		if (!this.touched) this.select.value = all.length && !this.toList && all.every(({ b }) => b.capable) ? "require" : "follow";
		this.choose();
	}

	private choose(): void {
		fill(this.says, this.choice === "require" && !this.touched ? t.requiredByItself + " " : "", t.choiceSays[this.choice]);
	}
}
