// The text that is being written: plain, or with bold, lists and links. What is designed is built and read element by
// element; markup is never made of strings here, nor taken from a clipboard.

import { button, fill, h, safe } from "./dom";
import { texts } from "./texts";

const t = texts.compose;

// A node of what is quoted (package htmlmail).
export interface Node_ {
	tag?: string;
	text?: string;
	href?: string;
	in?: Node_[];
}

const tags = new Set(["a", "b", "blockquote", "br", "code", "em", "h1", "h2", "h3", "i", "li", "ol", "p", "pre", "s", "strong", "u", "ul", "div"]);

// build makes elements of nodes.
export function build(all: Node_[] | undefined, depth = 0): Node[] {
	return (all ?? []).map((n) => {
		if (!n.tag) return document.createTextNode(n.text ?? "");
		const inner = depth < 100 ? build(n.in, depth + 1) : [];
		if (!tags.has(n.tag)) return h("span", {}, inner);
		const e = h(n.tag as "p", {}, inner);
		if (n.tag === "a" && n.href && safe(n.href)) e.setAttribute("href", n.href);
		return e;
	});
}

const escaped = (s: string) => s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

// write is elements as HTML: those in the list, and of their attributes the address of a link.
export function write(root: Node): string {
	let out = "";
	for (const n of root.childNodes) {
		if (n.nodeType === Node.TEXT_NODE) out += escaped(n.textContent ?? "");
		if (!(n instanceof Element)) continue;
		const tag = n.tagName.toLowerCase();
		if (tag === "br") out += "<br>";
		else if (!tags.has(tag)) out += write(n);
		else {
			const href = tag === "a" ? n.getAttribute("href") : null;
			const cite = tag === "blockquote" ? ' type="cite"' : "";
			out += `<${tag}${href && safe(href) ? ` href="${escaped(href)}"` : ""}${cite}>${write(n)}</${tag}>`;
		}
	}
	return out;
}

// plain is elements as text, with quotes as in plain text.
export function plain(root: Node): string {
	const lines: string[] = [];
	let line = "";
	const end = (mark: string, always = false) => {
		if (line || always) lines.push(mark + line);
		line = "";
	};
	const walk = (n: Node, depth: number) => {
		const mark = depth ? ">".repeat(depth) + " " : "";
		for (const c of n.childNodes) {
			if (c.nodeType === Node.TEXT_NODE) line += (c.textContent ?? "").replace(/\s+/g, " ");
			if (!(c instanceof Element)) continue;
			const tag = c.tagName.toLowerCase();
			if (tag === "br") {
				end(mark, true);
			} else if (tag === "blockquote") {
				end(mark);
				walk(c, depth + 1);
			} else if (["p", "div", "ul", "ol", "h1", "h2", "h3", "pre"].includes(tag)) {
				end(mark);
				walk(c, depth);
				end(mark, c.lastElementChild?.tagName !== "BR" && tag === "p" && !c.textContent);
			} else if (tag === "li") {
				end(mark);
				line = "- ";
				walk(c, depth);
				end(mark);
			} else {
				walk(c, depth);
				const href = tag === "a" ? c.getAttribute("href") : null;
				if (href && !(c.textContent ?? "").includes(href.replace(/^mailto:/, ""))) line += ` <${href}>`;
			}
		}
		end(mark);
	};
	walk(root, 0);
	return lines.join("\n");
}

// paragraphs are the lines of a text as elements.
export function paragraphs(text: string): Node[] {
	const root: Node_ = { in: [] };
	const open: Node_[] = [root];
	for (const raw of text.split("\n")) {
		const mark = /^(?:> ?)*/.exec(raw)?.[0] ?? "";
		const depth = mark.replace(/[^>]/g, "").length;
		while (open.length - 1 > depth) open.pop();
		while (open.length - 1 < depth) {
			const q: Node_ = { tag: "blockquote", in: [] };
			open[open.length - 1].in?.push(q);
			open.push(q);
		}
		const s = depth ? raw.slice(mark.length) : raw;
		open[open.length - 1].in?.push({ tag: "p", in: [s ? { text: s } : { tag: "br" }] });
	}
	return build(root.in);
}

// Editor is where it is written.
export class Editor {
	readonly element: HTMLElement;
	private readonly area: HTMLTextAreaElement;
	private readonly page: HTMLElement;
	private readonly tools: HTMLElement;
	private readonly toggle: HTMLInputElement;
	designed = false;

	constructor(private readonly changed: () => void) {
		this.area = h("textarea", { id: "compose-text", "aria-label": t.text, dir: "auto", rows: 10, spellcheck: "true", on: { input: changed } });
		this.page = h("div", { class: "page", contenteditable: "true", role: "textbox", "aria-multiline": "true", dir: "auto", "aria-label": t.text, spellcheck: "true", hidden: true,
			on: { input: changed, paste: (e) => this.paste(e as ClipboardEvent), drop: (e) => { if (!(e as DragEvent).dataTransfer?.files.length) e.preventDefault(); } } });
		const act = (label: string, command: string) => button(label, () => this.format(command), { class: "plain" });
		this.tools = h("div", { class: "tools", role: "toolbar", "aria-label": t.design, hidden: true },
			act(t.bold, "bold"), act(t.italic, "italic"), act(t.list, "insertUnorderedList"), button(t.link, () => this.linkTo(), { class: "plain" }));
		this.toggle = h("input", { type: "checkbox", id: "compose-design", on: { change: () => this.design(this.toggle.checked) } });
		this.element = h("div", { class: "editor" }, h("div", { class: "tools" }, h("label", { class: "check" }, this.toggle, " ", t.design), this.tools), this.area, this.page);
	}

	// text is what was written, as plain text whose lines are paragraphs.
	get text(): string {
		return this.designed ? plain(this.page) : this.area.value.replace(/\r\n?/g, "\n");
	}

	get html(): string | null {
		return this.designed ? write(this.page) : null;
	}

	put(text: string): void {
		this.area.value = text;
		if (this.designed) fill(this.page, paragraphs(text));
	}

	// putDesigned begins with elements, such as a quote.
	putDesigned(nodes: Node[]): void {
		this.show(true);
		fill(this.page, nodes);
	}

	private design(on: boolean): void {
		const text = this.text;
		this.show(on);
		this.put(text);
		this.changed();
		this.focus();
	}

	private show(on: boolean): void {
		this.designed = this.toggle.checked = on;
		this.area.hidden = on;
		this.page.hidden = this.tools.hidden = !on;
	}

	focus(): void {
		if (!this.designed) {
			this.area.focus();
			this.area.setSelectionRange(0, 0);
			this.area.scrollTop = 0;
			return;
		}
		this.page.focus();
		getSelection()?.collapse(this.page, 0);
	}

	private format(command: string, value?: string): void {
		this.page.focus();
		document.execCommand("styleWithCSS", false, "false");
		document.execCommand(command, false, value);
		this.changed();
	}

	private linkTo(): void {
		const to = window.prompt(t.linkTo, "https://");
		if (to && safe(to)) this.format("createLink", to);
	}

	// What is pasted is text: markup of elsewhere is not taken in.
	private paste(e: ClipboardEvent): void {
		if (e.clipboardData?.files.length) return;
		e.preventDefault();
		document.execCommand("insertText", false, e.clipboardData?.getData("text/plain") ?? "");
	}
}
