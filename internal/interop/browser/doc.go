// Package browser goes through the pages of a lab in a real browser, and has axe-core look at them.
package browser
