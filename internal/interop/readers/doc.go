// Package readers holds tests of the IMAP server with the programs that people read and fetch
// their mail with, as Debian 12 has them: mbsync, interimap, offlineimap3, neomutt, imapfilter,
// fetchmail, getmail6, curl and Python's imaplib; and of JMAP with aerc, as Debian 13 has it. Each carries some hundreds of messages, flags,
// deletions and moves between a running Waxwing and what it keeps itself; afterwards both must
// hold the same octets and flags, and no line of what the program said may be an error. It has
// no code of its own.
//
// A program that is not installed is skipped, and fails with WAXWING_INTEROP=required in the
// environment. WAXWING_READERS_MESSAGES says how many messages there are, instead of 120.
// With WAXWING_READERS_PEER=dovecot, the same programs do the same with Debian's Dovecot, and must come to the same.
package readers
