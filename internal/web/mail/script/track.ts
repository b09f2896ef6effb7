// A scroll bar for more rows than an element can be high: browsers bound heights at some ten million
// pixels, which a million rows exceed. Small movements scroll row by row; large ones go to the same part of the list.

const most = 8_000_000;

export class Track {
	top = 0; // the first pixel that is seen, of all rows
	private last = 0; // where the scroll bar stood
	constructor(private all = 0, private view = 0) {}

	resize(all: number, view: number): void {
		this.all = all;
		this.view = view;
		this.to(this.top);
	}

	// height is that of the element that scrolls.
	get height(): number {
		return Math.min(this.all, most);
	}

	// offset is what is taken from the place of a row for its place in the element.
	get offset(): number {
		return this.top - this.last;
	}

	get bar(): number {
		return this.last;
	}

	private get range(): number {
		return Math.max(0, this.all - this.view);
	}

	// to scrolls to a pixel of all rows; bar is then where the scroll bar has to stand.
	to(top: number): void {
		this.top = Math.max(0, Math.min(this.range, top));
		this.last = this.all <= most ? this.top : Math.round((this.top / this.range) * (this.height - this.view));
	}

	// scrolled takes note of where somebody moved the bar. It is true where the bar has to be set to where it is now.
	scrolled(bar: number): boolean {
		if (this.all <= most) {
			this.top = this.last = bar;
			return false;
		}
		const by = bar - this.last;
		if (Math.abs(by) > 4 * this.view) {
			this.to((bar / (this.height - this.view)) * this.range);
			this.last = bar;
			return false;
		}
		const top = Math.max(0, Math.min(this.range, this.top + by));
		const end = bar <= 0 || bar >= this.height - this.view - 1;
		if (end && top > 0 && top < this.range) { // the bar is at its end, the rows are not
			this.to(top);
			return true;
		}
		this.top = top;
		this.last = bar;
		return false;
	}
}
