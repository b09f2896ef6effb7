// What JMAP gives (RFC 8621), as far as the webmail asks for it.

export interface Address {
	name: string | null;
	email: string;
}

export interface Mailbox {
	id: string;
	name: string;
	parentId: string | null;
	role: string | null; // inbox, drafts, sent, archive, junk, trash
	sortOrder: number;
	totalEmails: number;
	unreadEmails: number;
	totalThreads: number;
	unreadThreads: number;
	isSubscribed: boolean;
	myRights: { mayRename: boolean; mayDelete: boolean };
}

// A mail as the list needs it of every mail in a thread.
export interface Brief {
	id: string;
	threadId: string;
	mailboxIds: Record<string, boolean>;
	keywords: Record<string, boolean>;
	from: Address[] | null;
	to: Address[] | null;
	receivedAt: string;
}

// The mail that stands for a row of the list.
export interface Listed extends Brief {
	subject: string | null;
	preview: string;
	hasAttachment: boolean;
	size: number;
}

export interface Part {
	partId: string | null;
	blobId: string | null;
	size: number;
	name: string | null;
	type: string;
	charset: string | null;
	disposition: string | null;
	cid: string | null;
}

// A mail as it is read.
export interface Email extends Listed {
	blobId: string;
	messageId: string[] | null;
	inReplyTo: string[] | null;
	references: string[] | null;
	sender: Address[] | null;
	cc: Address[] | null;
	bcc: Address[] | null;
	replyTo: Address[] | null;
	sentAt: string | null;
	bodyValues: Record<string, { value: string; isEncodingProblem?: boolean; isTruncated?: boolean }>;
	textBody: Part[];
	htmlBody: Part[];
	attachments: Part[];
	"header:List-Unsubscribe:asURLs"?: string[] | null;
	"header:List-Unsubscribe-Post:asText"?: string | null;
	"header:List-Id:asText"?: string | null;
	"header:Received:asRaw:all"?: string[];
}

// What Travel/get tells of one mail: how it came in (received), how it went out (sent).
export interface Travel {
	id: string;
	received: Received | null;
	sent: unknown | null; // proof.ts reads it
	notice: Notice_ | null; // where the mail is a notice about another
}

// What a notice about a sent mail says.
export interface Notice_ {
	about: string; // its Message-ID
	by?: string;
	more?: boolean;
	recipients: { address: string; action: string; status?: string; host?: string; reply?: string; meaning?: string; cure?: string; until?: string }[];
}

export interface Received {
	sender: string;
	recipient: string;
	facts: Facts | null;
	junk: { action: string; evidence?: { reason: string; points: number; text?: string }[] } | null;
}

// What was found out about who sent a mail (verify.Facts).
export interface Facts {
	ip: string;
	helo: string;
	sender: string;
	iprev: { result: string; name?: string; dnssec: boolean };
	spf: { identity: string; domain: string; result: string; dnssec: boolean }[] | null;
	dkim?: { domain?: string; result: string; problem?: string; dnssec: boolean }[];
	arc?: { result: string; sets: number; sealer?: string; dnssec: boolean };
	author?: string;
	dmarc?: { from: string; result: string; policy?: string; aligned_spf: boolean; aligned_dkim?: string[]; problem?: string; dnssec: boolean }[];
	trusted_by?: string[];
}
