#!/bin/bash
# The way of a new user, as docs/operating/install.md leads it: from a bare Debian 12 to mail
# in and out over DANE and MTA-STS, and to the next day's TLS reports both ways. The Internet
# around the machine is made of real programs, in namespaces that end with the script
# (packaging/newuser/world.sh): knot with a signed root, unbound, Pebble, a Postfix 3.10 with
# "waxwing companion" beside it for example.net (DANE), an Exim for example.com (MTA-STS).
#
#	bash packaging/newuser.sh PACKAGE.deb [pasted | updated]
#
# The records come into DNS by hand, or Waxwing writes them itself (RFC 2136).
# What the user types stands in install.md and is typed from there; the rest is the world's.
# WAXWING_PEERS is where .ci/run unpacks programs, WAXWING_BOOKWORM and WAXWING_TRIXIE are its
# Debian trees; knotd, unbound, pebble, swaks, openssl and curl are in the path.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
source "$here/newuser/world.sh"
if [ -z "${INSIDE:-}" ]; then
	fetch "$1"
	INSIDE=yes exec unshare --mount --net --pid --fork --kill-child bash "$0" "$@"
fi
deb=$(realpath "$1") way=${2:-pasted}
install_page=$here/../docs/operating/install.md companion_page=$here/../docs/operating/postfix.md

# What is sent must be of one day, of which the next one reports.
while [ $(($(date +%s) % 86400)) -gt $((86400 - 300)) ]; do sleep 5; done
step "an Internet without example.org"
furnish
name_servers
authority
postfix_host
exim_host
policy_host
machine "$deb"

# The commands of install.md, in its order; NEW stands for those that are still to come.
mapfile -t NEW < <(block_of sh "$install_page")
typed=0
type_next() { # the next command of the page, which must begin so
	local command=${NEW[0]}
	[[ $command == "$1"* ]] || fail "install.md goes on with \"$command\", and not with \"$1\""
	NEW=("${NEW[@]:1}")
	type_it "$command"
}
type_it() {
	typed=$((typed + 1))
	step "$typed: $1"
	on_machine bash -c "cd /root; $1" >/mnt/said 2>&1 || fail "$(tail -5 /mnt/said)"
}

type_next "apt install ./waxwing"
start_unbound
type_next "waxwing quickstart"
password=$(awk '$1 == "password" {print $2}' /mnt/said)
[ -n "$password" ] || fail "quickstart prints no password: $(cat /mnt/said)"
# Pebble's directory has another path than that of Let's Encrypt.
sed -i 's|^directory = "\(.*\)/directory"|directory = "\1/dir"|' "$root/etc/waxwing/waxwing.toml"
cp /mnt/said /mnt/quickstart
case $way in
pasted)
	step "the records are pasted into the zone, all but the last"
	grep -v '^_mta-sts' /mnt/quickstart | paste_records
	;;
updated)
	step "the name server takes updates: [dns.update] goes into the configuration"
	block_of toml "$install_page" | sed "s|192.0.2.53|5.9.0.53|; s|c2Vjcm.*\"|$tsig\"|" >>"$root/etc/waxwing/waxwing.toml"
	;;
esac
type_next "systemctl enable --now waxwing"
await 60 "certificates" certified
if [ "$way" = pasted ]; then
	step "the last record is pasted"
	grep '^_mta-sts' /mnt/quickstart | paste_records
fi
await 60 "all records" on_machine waxwing dns check example.org
type_next "waxwing doctor"
type_next "waxwing cert list"
cat /mnt/said
type_next "waxwing dns check example.org"
tail -n 5 /mnt/said
await 30 "keys that sign" signing

step "mail out: to a Postfix by DANE, to an Exim by MTA-STS"
for to in alice@example.net alice@example.com; do
	swaks --silent 2 --server mail.example.org --port 465 --tls-on-connect --auth-user you --auth-password "$password" \
		--from you@example.org --to "$to" --header "Subject: out to $to" || fail "the submission of mail to $to"
	await 20 "the delivery to $to" delivered "$to"
done
traced alice@example.net dane mx-secure dane-usable tls-required
traced alice@example.com pkix mx-insecure sts-enforce sts-mx-match tls-required

step "mail in: from the Postfix, which holds the host to its TLSA records, and from the Exim"
printf 'Subject: in from Postfix\n\nhello\n' | in_postfix sendmail -f alice@example.net you@example.org
printf 'Subject: in from Exim\n\nhello\n' | exim4 -f alice@example.com you@example.org
printf 'Subject: in from cron\n\nhello\n' | on_machine sendmail root
await 20 "mail from the Postfix" arrived alice@example.net
await 20 "DANE in the Postfix's log" holds "$postfix/var/log/postfix.log" 'Verified TLS connection established to mail.example.org\[5.9.1.1\]:25'
cat /mnt/awaited
await 20 "mail from the Exim" arrived alice@example.com
await 20 "DANE in the Exim's log" holds /mnt/exim/log/mainlog '=> you@example.org .* CV=dane '
cat /mnt/awaited
await 20 "mail from cron" arrived you@example.org

type_next "waxwing mtasts publish"
[ "$way" = updated ] || grep '^_mta-sts' /mnt/said | paste_records
await 60 "the new policy" policy_shown

step "the next day"
next_day
# They go out by themselves in the four hours after midnight; this is the command that does
# not wait for it.
ahead waxwing tlsrpt send || fail "our reports do not go out"
in_postfix /usr/local/bin/clock -ahead "$ahead" waxwing tlsrpt send --config /etc/waxwing/companion.toml || fail "the reports of the Postfix do not go out"
step "our reports, as the others got them"
await 20 "a report at the Postfix" report_mailed
cat /mnt/mailed.json; echo
await 20 "a report at the HTTPS address" report_posted
cat /mnt/posted.json; echo
await 20 "a signature that the Exim verifies" report_verified
tail -n 2 /mnt/awaited
step "the report of the Postfix, as we got it"
await 20 "the report of the Postfix" report_received
cat /mnt/received.json
ahead waxwing tlsrpt summary
[ ${#NEW[@]} = 0 ] || fail "install.md has more commands: ${NEW[*]}"
[ "$typed" -le 10 ] || fail "$typed commands"
step "a service without a fault, $typed commands"
