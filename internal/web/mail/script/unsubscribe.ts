// Leaving a list (MAIL-2): by one click, which the server makes (RFC 8058), by a mail, or on a page of the list's. Which of them a mail
// offers, the server has found out; nothing is asked of the list before somebody wants to leave it.

import { App } from "./app";
import { sure } from "./boxes";
import { openCompose } from "./compose";
import { h } from "./dom";
import { draftOf } from "./mailto";
import { texts } from "./texts";
import { Email } from "./types";

const t = texts.leaving;

export const canLeave = "urn:waxwing:params:jmap:unsubscribe";
export const left = "$unsubscribed"; // the keyword of mails whose list was left from here

interface Offer {
	way: "one-click" | "mail" | "page" | "none";
	host?: string;
	mailto?: string;
	page?: string;
}

// leave asks how, and does it; true: the list was left.
export async function leave(app: App, mail: Email): Promise<boolean> {
	try {
		const o = (await app.client.call("Unsubscribe/get", { ids: [mail.id] })).list[0] as Offer | undefined;
		if (o?.way === "one-click") return await byClick(app, mail, o);
		await otherwise(app, o);
	} catch (e) {
		app.failed(e);
	}
	return false;
}

async function byClick(app: App, mail: Email, o: Offer): Promise<boolean> {
	if (!(await sure(t.sure(o.host ?? ""), texts.unsubscribe, "first"))) return false;
	const r = await app.client.call("Unsubscribe/post", { ids: [mail.id] });
	if (!r.posted?.[mail.id]) {
		const act = o.mailto || o.page ? { label: t.otherwise, run: () => void otherwise(app, { ...o, way: o.mailto ? "mail" : "page" }) } : undefined;
		app.notice({ text: t.failed(r.notPosted?.[mail.id]?.description ?? ""), bad: true, seconds: 30, act });
		return false;
	}
	await app.client.call("Email/set", { update: { [mail.id]: { [`keywords/${left}`]: true } } });
	mail.keywords[left] = true;
	app.notice({ text: t.done(o.host ?? "") });
	return true;
}

// otherwise is a mail that its reader sends, or a page that they open.
async function otherwise(app: App, o: Offer | undefined): Promise<void> {
	if (o?.way === "mail" && o.mailto) {
		const draft = draftOf(o.mailto);
		if (await sure(t.byMail((draft.to ?? []).map((a) => a.email).join(", ")), t.write, "first")) openCompose(app, draft);
	} else if (o?.way === "page" && o.page) {
		const d = h("dialog", { class: "sheet", "aria-labelledby": "leave-title" }, h("form", { method: "dialog" }, h("h2", { id: "leave-title" }, t.byPage(o.host ?? "")),
			h("p", { class: "address" }, h("a", { href: o.page, target: "_blank", rel: "noopener noreferrer" }, o.page)),
			h("div", { class: "ends" }, h("button", { value: "" }, texts.close))));
		d.addEventListener("close", () => d.remove());
		document.body.append(d);
		d.showModal();
	} else {
		app.notice({ text: t.none });
	}
}
