// Composing. The hook through which the shell opens it.

import { App, Draft } from "./app";

export function openCompose(app: App, draft: Draft): void {
	void draft;
	app.notice({ text: "Composing is not there yet." });
}
