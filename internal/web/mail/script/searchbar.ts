// The search: words and fields in one line, or a form with a field each that writes that line.

import { button, fill, h, icon } from "./dom";
import { fields, word } from "./search";
import { nameOf, ordered } from "./boxes";
import { Mailbox } from "./types";
import { Row } from "./list";
import { texts } from "./texts";

export class SearchBar {
	readonly element: HTMLFormElement;
	private readonly line: HTMLInputElement;
	private readonly suggestions = h("datalist", { id: "search-suggestions" });

	constructor(private readonly go: (q: string) => void, private readonly boxes: () => Mailbox[], private readonly rows: () => Row[]) {
		this.line = h("input", { type: "search", name: "q", id: "search-line", "aria-label": texts.search, placeholder: texts.search, list: "search-suggestions", autocomplete: "off", "aria-keyshortcuts": "/",
			on: {
				input: () => this.suggest(),
				keydown: (e) => {
					if ((e as KeyboardEvent).key === "Escape") {
						this.line.value = "";
						this.line.blur();
						this.go("");
					}
				},
			} });
		this.element = h("form", { class: "search", role: "search", on: { submit: (e) => {
			e.preventDefault();
			this.line.blur();
			this.go(this.line.value.trim());
		} } }, this.line, this.suggestions,
		h("button", { class: "plain", "aria-label": texts.searchGo, title: texts.searchGo }, icon("search")),
		button(texts.searchFields, () => this.ask(), { icon: "fields", bare: true, class: "plain" }));
	}

	show(q: string): void {
		if (document.activeElement !== this.line) this.line.value = q;
	}

	focus(): void {
		this.line.focus();
		this.line.select();
		this.suggest();
	}

	// suggest completes the last word: fields, and people of mails that are loaded.
	private suggest(): void {
		const cut = this.line.value.lastIndexOf(" ") + 1;
		const [before, last] = [this.line.value.slice(0, cut), this.line.value.slice(cut).toLowerCase()];
		const people = new Set(this.rows().flatMap((r) => r.thread.flatMap((m) => (m.from ?? []).map((a) => a.email))));
		const boxes = this.boxes().map((b) => word("in", b.role ?? b.name));
		const all = [...fields, ...boxes, ...[...people].map((p) => "from:" + p)].filter((s) => s.toLowerCase().startsWith(last) || (last.length > 1 && s.toLowerCase().includes(last)));
		fill(this.suggestions, all.slice(0, 12).map((s) => h("option", { value: before + s })));
	}

	// ask has a field for each thing that can be searched for.
	private ask(): void {
		const f = texts.fields;
		const field = (name: string, label: string, type = "text") => h("div", {}, h("label", { for: "by-" + name }, label), h("input", { id: "by-" + name, name, type }));
		const tick = (name: string, label: string) => h("label", {}, h("input", { type: "checkbox", name }), label);
		const form = h("form", { method: "dialog" }, h("h2", { id: "fields-title" }, texts.searchFields),
			h("div", { class: "fields stacked" }, field("", f.words), field("from", f.from), field("to", f.to), field("subject", f.subject), field("after", f.since, "date"), field("before", f.before, "date"),
				h("div", {}, h("label", { for: "by-in" }, f.in), h("select", { id: "by-in", name: "in" }, h("option", { value: "" }, f.anywhere), ordered(this.boxes()).map(({ box }) => h("option", { value: box.role ?? box.name }, nameOf(box))))),
				tick("has:attachment", f.attachment), tick("is:unread", f.unread), tick("is:flagged", f.flagged)),
			h("div", { class: "ends" }, h("button", { value: "go", class: "first" }, texts.searchGo), h("button", { value: "", formnovalidate: true }, texts.cancel)));
		const d = h("dialog", { class: "sheet", "aria-labelledby": "fields-title" }, form);
		d.addEventListener("close", () => {
			d.remove();
			if (d.returnValue !== "go") return;
			const words: string[] = [];
			for (const e of form.querySelectorAll<HTMLInputElement | HTMLSelectElement>("input, select")) {
				if (e instanceof HTMLInputElement && e.type === "checkbox") {
					if (e.checked) words.push(e.name);
				} else if (e.value.trim()) {
					words.push(e.name ? word(e.name, e.value) : e.value.trim());
				}
			}
			this.line.value = words.join(" ");
			this.go(this.line.value);
		});
		document.body.append(d);
		d.showModal();
	}
}
