// Package imap is the grammar of IMAP4rev2 (RFC 9051) and IMAP4rev1 (RFC 3501),
// as a server reads and writes it. It holds no state of a session: a Reader turns
// what a client sends into Commands, a Writer writes responses.
//
// Commands of these extensions are read: LITERAL+ and LITERAL- (RFC 7888), SASL-IR
// (4959), ENABLE (5161), IDLE (2177), NAMESPACE (2342), ID (2971), UNSELECT (3691),
// LIST-EXTENDED (5258), LIST-STATUS (5819), SPECIAL-USE (6154), UIDPLUS (4315),
// ESEARCH (4731), SEARCHRES (5182), MOVE (6851), CONDSTORE and QRESYNC (7162),
// MULTIAPPEND (3502), BINARY (3516), UTF8=ACCEPT (6855), SORT and THREAD (5256),
// SORT=DISPLAY (5957), WITHIN (5032), QUOTA (9208), METADATA (5464), SAVEDATE
// (8514), OBJECTID (8474), PREVIEW (8970), PARTIAL (9394), REPLACE (8508), UIDONLY
// (9586), NOTIFY (5465), COMPRESS (4978), STATUS=SIZE (8438).
package imap
