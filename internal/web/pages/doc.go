// Package pages is what the pages of this server are made of (WEB-1, WEB-5): a layout, a dozen
// blocks, a style, and the headers that every page has. It knows nothing of mail: a page is a value,
// a list of blocks, and this package writes it as HTML. All of it can be read without JavaScript.
package pages
