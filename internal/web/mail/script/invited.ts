// What a mail invites to, and the answer to it (MAIL-2). The server reads the invitation and writes the answer as a calendar object
// (RFC 5546); it is sent as any other mail (RFC 6047), and can be taken back as one.

import { App } from "./app";
import { button, Child, fill, h } from "./dom";
import { cancel, hand, undoSeconds } from "./send";
import { Identity } from "./drafts";
import { day, hour, long, whole } from "./dates";
import { texts } from "./texts";
import { Email } from "./types";

const t = texts.invited;

export const canAnswer = "urn:waxwing:params:jmap:invitation";

interface Moment {
	text: string;
	zone?: string;
	raw: string;
}

interface Person {
	name?: string;
	address: string;
	status?: string;
}

interface Event_ {
	uid: string;
	summary: string;
	location?: string;
	description?: string;
	start: Moment;
	end?: Moment;
	repeats?: boolean;
	cancelled?: boolean;
	organizer?: Person;
	attendees?: Person[];
}

interface Invitation {
	method: string;
	events: Event_[];
	as: string | null;
}

const answers = ["accepted", "tentative", "declined"] as const;
type Answer = (typeof answers)[number];

const keyword = (a: Answer) => "waxwing-" + a;

// isInvitation tells whether a mail has a calendar object.
export function isInvitation(m: Email): boolean {
	return [...m.attachments, ...m.textBody, ...m.htmlBody].some((p) => /^text\/calendar$/i.test(p.type));
}

export class Invited {
	readonly element = h("div", { class: "invited", role: "group", "aria-label": t.title, hidden: true });
	private found: Invitation | null = null;
	private sending = false;
	private readonly comment = h("input", { type: "text", maxlength: 500, dir: "auto", "aria-label": t.comment, placeholder: t.comment });

	constructor(private readonly app: App, private readonly mail: Email) {
		void this.load();
	}

	private async load(): Promise<void> {
		try {
			this.found = ((await this.app.client.call("Invitation/get", { ids: [this.mail.id] })).list[0] as Invitation | undefined) ?? null;
		} catch {
			return; // the mail is there all the same, and has it as a file
		}
		this.draw();
	}

	// draw shows it, with what was answered.
	draw(): void {
		const i = this.found;
		if (!i || this.element.contains(document.activeElement)) return;
		this.element.hidden = false;
		fill(this.element, i.events.map((e) => event(i, e)), this.choices(i));
	}

	private choices(i: Invitation): Child {
		const organizer = i.events[0].organizer;
		if (i.method !== "REQUEST" || i.events[0].cancelled || !organizer) return null;
		if (!i.as) return h("p", { class: "help" }, t.notYou);
		const now = answers.find((a) => this.mail.keywords[keyword(a)]);
		return [
			h("div", { class: "acts" }, answers.map((a) => button(t.answers[a], () => void this.answer(a), { "aria-pressed": String(a === now), class: a === now ? "first" : "" })), this.comment),
			h("p", { class: "help", role: "status" }, now ? t.answered[now] + " " : "", t.goesTo(organizer.address, i.as)),
		];
	}

	private async answer(a: Answer): Promise<void> {
		if (this.sending) return;
		this.sending = true;
		const { app, mail } = this;
		try {
			const made = await app.client.call("Invitation/reply", { emailId: mail.id, status: a, comment: this.comment.value.trim() });
			const identity = ((await app.client.call("Identity/get", { ids: null })).list as Identity[]).find((x) => x.email.toLowerCase() === String(made.from).toLowerCase());
			if (!identity) throw new Error(t.notYou);
			const says = t.says[a](made.summary || texts.noSubject);
			const note = this.comment.value.trim();
			const sent = await hand(app, {
				mail: {
					from: [{ name: identity.name || null, email: identity.email }], to: [made.to], subject: `${t.answers[a]}: ${made.summary || texts.noSubject}`,
					inReplyTo: mail.messageId ?? undefined, references: [...(mail.references ?? []), ...(mail.messageId ?? [])],
					bodyValues: { t: { value: says + (note ? "\n\n" + note : "") + "\n" } },
					bodyStructure: { type: "multipart/alternative", subParts: [{ partId: "t", type: "text/plain" }, { blobId: made.blobId, type: "text/calendar", method: "REPLY", charset: "utf-8" }] },
				},
				identity, to: [{ email: made.to.email, parameters: null }], hold: undoSeconds() ? { HOLDFOR: String(undoSeconds()) } : null,
			});
			const before = Object.fromEntries(["$answered", ...answers.map(keyword)].map((k) => [k, Boolean(mail.keywords[k])]));
			await this.mark({ ...before, ...Object.fromEntries(answers.map((x) => [keyword(x), x === a])), $answered: true });
			const undo = async () => {
				try {
					if (!(await cancel(app, sent))) return;
					await app.client.call("Email/set", { destroy: [sent.email] });
					await this.mark(before);
				} catch (e) {
					app.failed(e);
				}
			};
			app.notice({ text: t.answered[a], seconds: undoSeconds() || 8, act: undoSeconds() ? { label: texts.undo, run: () => void undo() } : undefined });
		} catch (e) {
			app.failed(e);
		}
		this.sending = false;
	}

	// mark notes what was answered on the mail itself, so that all programs know.
	private async mark(keywords: Record<string, boolean>): Promise<void> {
		const patch: Record<string, true | null> = {};
		for (const [k, on] of Object.entries(keywords)) {
			patch["keywords/" + k] = on ? true : null;
			if (on) this.mail.keywords[k] = true;
			else delete this.mail.keywords[k];
		}
		await this.app.client.call("Email/set", { update: { [this.mail.id]: patch } });
		if (this.element.contains(document.activeElement)) (document.activeElement as HTMLElement).blur();
		this.draw();
		this.app.refresh();
	}
}

function event(i: Invitation, e: Event_): Child {
	const kind = e.cancelled || i.method === "CANCEL" ? t.cancelled : t.methods[i.method] ?? t.methods.PUBLISH;
	const person = (p: Person) => whole({ name: p.name ?? null, email: p.address });
	const line = (name: string, value: Child) => (value ? [h("dt", {}, name), h("dd", { dir: "auto" }, value)] : null);
	return [
		h("h3", {}, kind, ": ", h("bdi", {}, e.summary || texts.noSubject)),
		h("dl", { class: "people" },
			line(t.when, [span(e.start, e.end), e.repeats ? ", " + t.repeats : ""]),
			line(t.where, e.location),
			line(t.organizer, e.organizer && person(e.organizer)),
			line(t.guests, e.attendees?.length ? h("ul", { class: "guests" }, e.attendees.slice(0, 50).map((p) => h("li", {}, h("bdi", {}, person(p)), p.status && t.status[p.status] ? `: ${t.status[p.status]}` : "")), e.attendees.length > 50 ? h("li", {}, "…") : null) : null)),
		e.description ? h("details", {}, h("summary", {}, t.description), h("p", { class: "plain", dir: "auto" }, e.description)) : null,
	];
}

function span(from: Moment, to: Moment | undefined): string {
	if (!to?.text) return at(from);
	const [a, b] = [instant(from), instant(to)];
	if (a && b && from.raw.length > 8 && to.zone === from.zone && a.toDateString() === b.toDateString()) return `${at(from)} – ${hour(b)}`;
	return `${at(from)} – ${at(to)}`;
}

// at is a time as the reader's clock has it, where it can be known, and as it was written.
export function at(m: Moment): string {
	const d = instant(m);
	if (!d) return m.text + (m.zone ? ` (${m.zone})` : "");
	if (m.raw.length === 8) return day(d);
	return long(d.toISOString()) + (m.zone && m.zone !== "UTC" && m.zone !== Intl.DateTimeFormat().resolvedOptions().timeZone ? ` (${m.text.slice(11)} ${m.zone})` : "");
}

// instant is when that is; null: in a zone that is not known.
export function instant(m: Moment): Date | null {
	const p = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z?))?$/.exec(m.raw);
	if (!p) return null;
	const [y, mo, d, hour, min] = [p[1], p[2], p[3], p[4] ?? "0", p[5] ?? "0"].map(Number);
	if (!p[4] || (!p[7] && !m.zone)) return new Date(y, mo - 1, d, hour, min); // a whole day, or wherever one is
	const utc = Date.UTC(y, mo - 1, d, hour, min);
	if (p[7]) return new Date(utc);
	try {
		// What the zone's clock shows at that moment of UTC is as far from it as the zone is; near a change of clocks a second look is needed.
		let found = utc;
		for (let i = 0; i < 2; i++) found = utc - (shown(found, m.zone as string) - found);
		return new Date(found);
	} catch {
		return null;
	}
}

// shown is what the clock of a zone shows, as if it were UTC.
function shown(when: number, zone: string): number {
	const f = new Intl.DateTimeFormat("en", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" });
	const v = Object.fromEntries(f.formatToParts(when).map((x) => [x.type, Number(x.value)]));
	return Date.UTC(v.year, v.month - 1, v.day, v.hour, v.minute);
}
