// Package browser goes through the pages in a real browser.
package browser
