// What makes a program of the page: the service worker, and links to addresses that are opened here (MAIL-8).

// The page's policy takes no script address that is a mere string: this is the one that there is.
interface Policies {
	createPolicy(name: string, rules: { createScriptURL(s: string): string }): { createScriptURL(s: string): unknown };
}

export async function install(): Promise<void> {
	if (!("serviceWorker" in navigator)) return;
	const path = "/mail/worker.js";
	const policies = (window as unknown as { trustedTypes?: Policies }).trustedTypes;
	const address = policies ? policies.createPolicy("worker", { createScriptURL: (s) => (s === path ? s : "") }).createScriptURL(path) : path;
	try {
		await navigator.serviceWorker.register(address as string, { scope: "/mail/" });
	} catch {
		// a browser that takes none shows nothing without a network
	}
}

// handleMailto asks the browser to open links to addresses here.
export function handleMailto(): void {
	navigator.registerProtocolHandler("mailto", location.origin + "/mail/compose?mailto=%s");
}

const setting = "waxwing-notify";

// notifies tells whether this browser is to tell of new mail on the desktop.
export function notifies(): boolean {
	return "Notification" in window && Notification.permission === "granted" && localStorage.getItem(setting) === "yes";
}

// setNotify asks the browser for it; it tells what came of that.
export async function setNotify(on: boolean): Promise<boolean> {
	const may = on && (await Notification.requestPermission()) === "granted";
	localStorage.setItem(setting, may ? "yes" : "no");
	return may;
}
