// Package search finds mails by what people read of them: subject, addresses, text, the names of
// attachments and other header fields (MBX-7). A service takes the words of each mail into an index in the
// background, never in the transaction of its delivery; a search answers from the index and names the mails
// that are not in it yet, for the caller to look through (Scan).
//
// Words are made here, the same for both engines: letters, digits and marks, folded (case, accents, forms of
// width), and pairs of characters where a script puts no spaces between words. Each carries its
// account's number, so that no query can meet another account's words. SQLite keeps them in FTS5,
// PostgreSQL in tsvector.
//
// A text is found where its words stand next to each other in one field, of which the first may be the end
// of a longer one and the last the beginning: as IMAP's SEARCH has it (RFC 9051 §6.4.4), except that all
// white space and punctuation between words is equal, as are accents. A part of a word that stands
// in more than maxAlternatives words of an account is found only where it begins one, and the answer says so.
package search
