// What the parts of the webmail know of each other.

import { Client } from "./jmap";
import { Address, Email, Mailbox } from "./types";

// Draft is what composing begins with.
export interface Draft {
	action: "new" | "reply" | "replyAll" | "forward" | "edit";
	of?: Email; // what is answered, forwarded, or written on
	to?: Address[];
	cc?: Address[];
	bcc?: Address[];
	subject?: string;
	text?: string;
}

export interface Notice {
	text: string;
	bad?: boolean;
	act?: { label: string; run: () => void }; // such as undo
	seconds?: number; // how long it stays; without: 8, and 0 is until it is closed
}

export interface App {
	readonly client: Client;
	readonly boxes: Map<string, Mailbox>;
	// role is the mailbox with a role, such as "sent".
	role(role: string): Mailbox | undefined;
	// addresses are those of the account, in lower case.
	readonly own: Set<string>;
	// go shows what a path below /mail/ names, and puts it into the address bar.
	go(path: string): void;
	notice(n: Notice): void;
	// failed tells of an error that an act met with.
	failed(e: unknown): void;
	// refresh looks for what has changed, at once.
	refresh(): void;
	// overlay is where a part puts a window of its own, such as the composer.
	readonly overlay: HTMLElement;
}
