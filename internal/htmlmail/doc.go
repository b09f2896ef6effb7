// Package htmlmail makes what strangers write fit to be shown in a browser (MAIL-2): HTML of a mail without
// scripts and without anything that is loaded from elsewhere, plain text as HTML, and both as simple HTML to be
// quoted in an answer.
//
// HTML is read as a browser reads it (golang.org/x/net/html) and written anew from what is known to be harmless:
// elements, attributes, properties of CSS and the tokens in their values each stand in a list. bluemonday, with
// lists of its own, reads the result once more. Neither is the only wall: the document is served with headers that
// forbid the same things (package letter).
//
// Plain text is read by RFC 3676 (format=flowed).
package htmlmail
