// Elements, made of values. Nothing here takes markup: text that others wrote becomes text, whatever it
// says, and an address that is none of the kinds below leads nowhere. The page's policy forbids markup from
// strings too (Trusted Types), so that no module can do otherwise.

export type Child = Node | string | number | null | undefined | false | Child[];

export interface Props {
	class?: string;
	on?: { [name: string]: (e: Event) => void };
	data?: Record<string, string>;
	[attribute: string]: unknown;
}

const links = new Set(["href", "src", "action", "formaction"]);
const never = /^(on|style$|srcdoc$|innerhtml$|outerhtml$)/i;

// safe tells whether an address may stand in a page: one of this server, of the web, of mail or telephones.
export function safe(address: string): boolean {
	return /^(https?:\/\/|mailto:|tel:|\/(?!\/)|\?|#|blob:)/i.test(address) && !/[\u0000-\u0020\\]/.test(address);
}

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
	const e = document.createElement(tag);
	set(e, props);
	add(e, children);
	return e;
}

// set gives an element attributes; undefined, null and false take them away.
export function set(e: Element, props: Props): void {
	for (const [name, value] of Object.entries(props)) {
		if (name === "on") {
			for (const [event, fn] of Object.entries(props.on ?? {})) e.addEventListener(event, fn);
		} else if (name === "data") {
			for (const [key, v] of Object.entries(props.data ?? {})) (e as HTMLElement).dataset[key] = v;
		} else if (never.test(name)) {
			throw new Error(`no ${name} in an element`);
		} else if (value === undefined || value === null || value === false) {
			e.removeAttribute(name);
		} else if (links.has(name) && !safe(String(value))) {
			e.removeAttribute(name);
		} else {
			e.setAttribute(name, value === true ? "" : String(value));
		}
	}
}

export function add(e: Element, children: Child[]): void {
	for (const c of children) {
		if (c === null || c === undefined || c === false) continue;
		if (Array.isArray(c)) add(e, c);
		else e.append(c instanceof Node ? c : String(c));
	}
}

// fill puts children in place of what an element has.
export function fill(e: Element, ...children: Child[]): void {
	e.replaceChildren();
	add(e, children);
}

const shapes: Record<string, string> = {
	menu: "M3 6h18M3 12h18M3 18h18",
	back: "M15 5l-7 7 7 7",
	pen: "M4 20l1-5L16 4l4 4L9 19z",
	search: "M10.5 4a6.5 6.5 0 100 13 6.5 6.5 0 000-13M15.5 15.5L21 21",
	archive: "M3 4h18v5H3zM5 9v11h14V9M9.5 13h5",
	trash: "M4 6h16M9 6V4h6v2M6 6l1 14h10l1-14M10 10v6M14 10v6",
	junk: "M8 3h8l5 5v8l-5 5H8l-5-5V8zM12 7v6M12 16.5v.5",
	notjunk: "M8 3h8l5 5v8l-5 5H8l-5-5V8zM8 12l3 3 5-6",
	move: "M3 5h6l2 3h10v11H3zM9 14h6M13 11.5l2.500 2.500-2.500 2.500",
	unread: "M3 6h18v12H3zM3 7l9 7 9-7",
	flag: "M5 21V4h13l-3 4.500 3 4.500H5",
	reply: "M9 6L3 12l6 6M3 12h11c4 0 7 2 7 6",
	replyAll: "M7 6l-5 6 5 6M13 6l-6 6 6 6M7 12h8c4 0 6 2 6 6",
	forward: "M15 6l6 6-6 6M21 12H10c-4 0-7 2-7 6",
	more: "M5 11.500v1M12 11.500v1M19 11.500v1",
	clip: "M8 12l6-6c2-2 6 1 4 4l-8 8c-3 3-8-2-5-5l8-8",
	down: "M12 4v12M6 11l6 6 6-6M4 21h16",
	close: "M5 5l14 14M19 5L5 19",
	help: "M9 9c0-4 6-4 6 0 0 2.500-3 2.500-3 5M12 17.500v.5",
	fields: "M4 7h10M18 7h2M4 12h2M10 12h10M4 17h8M16 17h4M16 5v4M8 10v4M14 15v4",
};

// icon is a drawing that says nothing by itself: what has one has a text or a label too.
export function icon(name: keyof typeof shapes & string): SVGSVGElement {
	const ns = "http://www.w3.org/2000/svg";
	const svg = document.createElementNS(ns, "svg");
	set(svg, { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" });
	const p = document.createElementNS(ns, "path");
	p.setAttribute("d", shapes[name] ?? "");
	svg.append(p);
	return svg;
}

// button has a label that stands in it, or only its icon with the label for those who ask.
export function button(label: string, act: (e: Event) => void, more: { icon?: string; bare?: boolean; class?: string; key?: string; [attribute: string]: unknown } = {}): HTMLButtonElement {
	const { icon: name, bare, key, ...rest } = more;
	const title = key ? `${label} (${key})` : label;
	return h("button", { type: "button", title: bare || key ? title : undefined, "aria-label": bare ? label : undefined, "aria-keyshortcuts": key, on: { click: act }, ...rest },
		name ? icon(name) : null, bare ? null : h("span", {}, label));
}
