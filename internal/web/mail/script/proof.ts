// Where the copies of a sent mail are, and how they travelled.

import { App } from "./app";

// sentProof is shown below a mail that was sent from here; null: there is nothing to show.
export function sentProof(app: App, sent: unknown): HTMLElement | null {
	void app;
	void sent;
	return null;
}
