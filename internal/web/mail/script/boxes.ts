// The mailboxes, with what is unread in them. Mails can be dropped on them.

import { fill, h } from "./dom";
import { Mailbox } from "./types";
import { texts } from "./texts";

// nameOf is how a mailbox is called; those that everybody has are called in the language of the page.
export function nameOf(b: Mailbox): string {
	return (b.role && texts.roles[b.role]) || b.name;
}

// placeOf is its part of an address.
export function placeOf(b: Mailbox): string {
	return b.role && texts.roles[b.role] ? b.role : "box-" + b.id;
}

export function boxAt(place: string, boxes: Iterable<Mailbox>): Mailbox | undefined {
	for (const b of boxes) {
		if (placeOf(b) === place || "box-" + b.id === place) return b;
	}
	return undefined;
}

// ordered is the tree of mailboxes, each with its depth.
export function ordered(all: Iterable<Mailbox>): { box: Mailbox; depth: number }[] {
	const list = [...all].sort((a, b) => a.sortOrder - b.sortOrder || nameOf(a).localeCompare(nameOf(b)));
	const out: { box: Mailbox; depth: number }[] = [];
	const walk = (parent: string | null, depth: number) => {
		for (const box of list) {
			if (box.parentId !== parent || depth > 20) continue;
			out.push({ box, depth });
			walk(box.id, depth + 1);
		}
	};
	walk(null, 0);
	return out;
}

// counter is what stands behind its name: drafts count all, Junk and Trash nothing.
function counter(b: Mailbox): number {
	if (b.role === "junk" || b.role === "trash") return 0;
	return b.role === "drafts" ? b.totalEmails : b.unreadThreads;
}

export class Boxes {
	readonly element = h("ul", { class: "boxes" });

	constructor(private readonly go: (b: Mailbox) => void, private readonly href: (b: Mailbox) => string, private readonly drop: (b: Mailbox) => void) {}

	show(all: Iterable<Mailbox>, current: string): void {
		const focused = this.element.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.box : undefined;
		fill(this.element, ordered(all).map(({ box, depth }) => {
			const n = counter(box);
			return h("li", {}, h("a", {
				href: this.href(box), class: `box d${Math.min(depth, 4)}`, data: { box: box.id }, "aria-current": placeOf(box) === current ? "page" : undefined,
				on: {
					click: (e) => {
						const m = e as MouseEvent;
						if (m.ctrlKey || m.metaKey || m.shiftKey || m.button) return;
						e.preventDefault();
						this.go(box);
					},
					dragover: (e) => {
						const d = e as DragEvent;
						if (!d.dataTransfer?.types.includes("application/x-waxwing-mails")) return;
						e.preventDefault();
						(e.currentTarget as HTMLElement).classList.add("over");
					},
					dragleave: (e) => (e.currentTarget as HTMLElement).classList.remove("over"),
					drop: (e) => {
						e.preventDefault();
						(e.currentTarget as HTMLElement).classList.remove("over");
						this.drop(box);
					},
				},
			}, h("span", { class: "label", dir: "auto" }, nameOf(box)), n ? h("span", { class: "count", "aria-label": box.role === "drafts" ? texts.mailsIn(n) : texts.unreadOf(n), role: "img" }, n.toLocaleString()) : null));
		}));
		if (focused) this.element.querySelector<HTMLElement>(`[data-box="${CSS.escape(focused)}"]`)?.focus();
	}
}

// choose asks for a mailbox, by typing a part of its name or with the arrow keys.
export function choose(all: Iterable<Mailbox>, except: string | null): Promise<Mailbox | null> {
	return new Promise((resolve) => {
		const options = ordered(all).filter(({ box }) => box.id !== except && box.role !== "drafts");
		const select: HTMLSelectElement = h("select", { id: "move-to", size: String(Math.min(12, Math.max(4, options.length))), on: { dblclick: () => d.close("move") } },
			options.map(({ box, depth }, i) => h("option", { value: box.id, selected: i === 0 }, "\u00a0\u00a0".repeat(depth) + nameOf(box))));
		const d: HTMLDialogElement = h("dialog", { class: "sheet", "aria-labelledby": "move-title" },
			h("form", { method: "dialog" },
				h("h2", { id: "move-title" }, texts.moveTo),
				h("label", { for: "move-to" }, texts.mailboxes), select,
				h("div", { class: "ends" }, h("button", { value: "move", class: "first" }, texts.move), h("button", { value: "" }, texts.cancel))));
		select.addEventListener("keydown", (e) => {
			if (e.key === "Enter") {
				e.preventDefault();
				d.close("move");
			}
		});
		d.addEventListener("close", () => {
			d.remove();
			resolve((d.returnValue === "move" && options.find(({ box }) => box.id === select.value)?.box) || null);
		});
		document.body.append(d);
		d.showModal();
		select.focus();
	});
}

// sure asks before something that cannot be undone.
export function sure(question: string, yes: string, look = "danger"): Promise<boolean> {
	return new Promise((resolve) => {
		const d = h("dialog", { class: "sheet", "aria-labelledby": "sure-title" },
			h("form", { method: "dialog" }, h("h2", { id: "sure-title" }, question),
				h("div", { class: "ends" }, h("button", { value: "yes", class: look }, yes), h("button", { value: "", autofocus: true }, texts.cancel))));
		d.addEventListener("close", () => {
			d.remove();
			resolve(d.returnValue === "yes");
		});
		document.body.append(d);
		d.showModal();
	});
}
