// What people are told of what happened, for a while, with a button that takes it back where that is possible.

import { Notice } from "./app";
import { button, h } from "./dom";
import { texts } from "./texts";

export class Notices {
	readonly element = h("div", { class: "notices", role: "status", "aria-live": "polite", "aria-label": texts.notices });

	show(n: Notice): void {
		const seconds = n.seconds ?? 8;
		const gone = (): void => box.remove();
		const box: HTMLElement = h("div", { class: n.bad ? "toast bad" : "toast" }, h("span", {}, n.text),
			n.act ? h("button", { type: "button", class: "plain", on: { click: () => (gone(), n.act?.run()) } }, n.act.label) : null,
			button(texts.close, gone, { icon: "close", bare: true, class: "plain" }));
		while (this.element.childElementCount > 2) this.element.firstElementChild?.remove();
		this.element.append(box);
		if (!seconds) return;
		let timer = window.setTimeout(gone, seconds * 1000);
		box.addEventListener("focusin", () => window.clearTimeout(timer)); // who is about to press it has the time to
		box.addEventListener("focusout", () => (timer = window.setTimeout(gone, seconds * 1000)));
	}
}
