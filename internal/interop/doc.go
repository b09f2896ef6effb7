// Package interop holds tests of Waxwing against programs that others wrote:
// Postfix, Exim and OpenSMTPD as mail hosts, Postfix, Exim, swaks and GNU SASL
// as clients, unbound as the validating resolver over zones that ldns signed and
// NSD serves, and posttls-finger, ldns-dane, danetool and OpenSSL as second
// opinions on DANE; opendkim, opendmarc, python3-dkim, python3-spf and python3-authres as second
// opinions on who sent a message (testdata/opinions.txt says where they differ, and why); and of its sendmail with the programs that call it: cron, mutt, git
// send-email, PHP, s-nail; and opendkim and clamav-milter (with a virus database of one signature) behind its door, as milters. It has no code of its own.
//
// The tests run on real ports. So that this touches nothing of the machine,
// they run themselves again in network, mount and process namespaces of their
// own, which needs root on Linux. Where that is not to be had, or a peer is not
// installed, they skip and say what is missing. With WAXWING_INTEROP=required
// in the environment they fail instead.
//
// Mail servers of Debian exclude each other as packages. Those that are not
// installed are looked for in the directory WAXWING_PEERS, into which their
// packages have been unpacked (dpkg -x); .ci/run shows how. OpenSMTPD comes in
// two versions: that of Debian 12, whose TLS handshakes all fail, and that of
// Debian 13, in a tree of that system (WAXWING_TRIXIE), which has working TLS.
package interop
