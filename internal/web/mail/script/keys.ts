// The keyboard: single keys, and two in a row, as people know them from other mail programs. They can be
// switched off (WCAG 2.1.4), and do nothing where somebody types.

import { add, button, Child, h } from "./dom";
import { texts } from "./texts";

export interface Key {
	keys: string[]; // each of which does it; "g i" is one after the other
	says: string; // "": it does not stand on the sheet
	run: () => void;
	when?: (at: HTMLElement) => boolean; // where the focus is
}

const setting = "waxwing-single-keys";
const inARow = 1500; // milliseconds

export class Keys {
	private first = "";
	private at = 0;

	constructor(private readonly all: Key[]) {
		document.addEventListener("keydown", (e) => this.down(e));
	}

	get on(): boolean {
		return localStorage.getItem(setting) !== "off";
	}

	private down(e: KeyboardEvent): void {
		if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || !this.on) return;
		const at = e.target as HTMLElement;
		if (at.closest("input:not([type=checkbox]), textarea, select, dialog, [contenteditable]")) return;
		const two = Date.now() - this.at < inARow ? this.first + " " + e.key : "";
		const found = this.all.find((k) => two && k.keys.includes(two)) ?? this.all.find((k) => k.keys.includes(e.key) && (!k.when || k.when(at)));
		this.first = e.key;
		this.at = found ? 0 : Date.now();
		if (!found) return;
		if (e.key === "Enter" && at.closest("a, button, input, summary")) return; // which it presses
		e.preventDefault();
		found.run();
	}

	// sheet shows what can be done by keyboard, and below it what else can be set in this browser.
	sheet(more: Child[]): void {
		const rows = this.all.filter((k) => k.says).map((k) => h("tr", {},
			h("th", { scope: "row" }, k.keys.map((key, i) => [i ? " " : "", key.split(" ").map((one, j) => [j ? ` ${texts.then} ` : "", h("kbd", {}, one)])])),
			h("td", {}, k.says)));
		const box: HTMLInputElement = h("input", { type: "checkbox", checked: this.on, on: { change: () => localStorage.setItem(setting, box.checked ? "on" : "off") } });
		const d = h("dialog", { class: "sheet", "aria-labelledby": "sheet-title" }, h("h2", { id: "sheet-title" }, texts.helpKeys));
		add(d, [h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": texts.helpKeys }, h("table", {}, h("tbody", {}, rows))), h("label", {}, box, texts.singleKeys), more, button(texts.close, () => d.close(), { class: "first" })]);
		d.addEventListener("close", () => d.remove());
		document.body.append(d);
		d.showModal();
	}
}
