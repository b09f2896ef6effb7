#!/bin/bash
# A roll-over of the host's key, by hand: the operator asks for it, publishes what he is told,
# and two programs of others hold the host to its TLSA records at every stage, ldns-dane and
# danetool, which validate DNSSEC themselves (CRT-3, CRT-6). The name server is knot with a
# signed zone, the authority Pebble, the server the one of the package, whose clock moves.
#
#	bash packaging/rollover.sh PACKAGE.deb
#
# It takes what packaging/newuser.sh takes, and ldns-dane and danetool.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
source "$here/newuser/world.sh"
if [ -z "${INSIDE:-}" ]; then
	fetch "$1"
	INSIDE=yes exec unshare --mount --net --pid --fork --kill-child bash "$0" "$@"
fi
deb=$(realpath "$1")

# held asks both programs whether the host that answers at port 25 is the one of its records.
held() {
	local chain=/mnt/shown.pem
	openssl s_client -connect mail.example.org:25 -starttls smtp -servername mail.example.org -showcerts </dev/null 2>/dev/null |
		sed -n '/BEGIN CERT/,/END CERT/p' >"$chain"
	ldns-dane -n -k /mnt/dns/anchor -c "$chain" verify mail.example.org 25 >/mnt/ldns-dane 2>&1 && grep -q 'dane-validated successfully' /mnt/ldns-dane &&
		danetool --check mail.example.org --port 25 --starttls-proto=smtp --local-dns >/mnt/danetool 2>&1 && grep -q 'Verification: Certificate matches' /mnt/danetool
}
not_held() { # and both say so, rather than that they saw nothing
	! held && grep -q 'did not dane-validate' /mnt/ldns-dane && ! danetool --check mail.example.org --port 25 --starttls-proto=smtp --local-dns >/mnt/danetool 2>&1 &&
		grep -q 'The certificate differs' /mnt/danetool
}
shows() { # KEY, as "cert keys" names it: the one in the host's ECDSA certificate
	local digest
	digest=$(openssl s_client -connect mail.example.org:25 -starttls smtp -servername mail.example.org -sigalgs ECDSA+SHA256 </dev/null 2>/dev/null |
		openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d ' ' -f 1)
	ahead waxwing cert keys >/mnt/keys
	grep -q "^$1 .* 3 1 1 $digest" /mnt/keys
}
is() { # KEY STAGE, after a look at the zone's servers
	ahead waxwing cert look >/mnt/keys
	grep "^$1 *$2 " /mnt/keys
}
publish() { ahead waxwing dns records --zone example.org | paste_records; } # what the operator is told
named() { # how many TLSA records he is told
	ahead waxwing dns records --zone example.org >/mnt/named
	[ "$(grep -c '	TLSA	' /mnt/named)" = "$1" ]
}
published() { # how many TLSA records there are
	[ "$(grep -c '^_25._tcp.mail.example.org.	' /mnt/dns/zones/example.org)" = "$1" ] || fail "there are other records than $1: $(grep TLSA /mnt/dns/zones/example.org)"
}

step "a host with its certificates and records"
furnish
name_servers
authority
machine "$deb"
on_machine bash -c 'cd /root && apt install ./waxwing_*.deb unbound' >/mnt/said 2>&1 || fail "$(tail -5 /mnt/said)"
start_unbound
on_machine waxwing quickstart --hostname mail.example.org you@example.org >/mnt/said
sed -i 's|^directory = "\(.*\)/directory"|directory = "\1/dir"|' "$root/etc/waxwing/waxwing.toml"
paste_records </mnt/said
on_machine systemctl enable --now waxwing
await 60 "certificates" certified
install -D -m 0644 /mnt/dns/anchor /usr/share/dns/root.key # where danetool looks for it
ahead=0s
await 20 "the first key" shows ecdsa-1
await 20 "the stage of the next key" is ecdsa-2 seen
await 20 "a host that is held to its records" held
published 4

step "the operator asks for the next key: too soon, since caches may lack its record"
ahead waxwing cert roll
sleep 3
shows ecdsa-1 || fail "the key changed at once"
held || fail "$(cat /mnt/ldns-dane /mnt/danetool)"

step "two days later: the next key takes over, with a certificate"
move_on 48h
await 60 "the next key in use" is ecdsa-2 current
await 60 "the next key's certificate" shows ecdsa-2
is ecdsa-1 old || fail "the first key: $(cat /mnt/keys)"
held || fail "$(cat /mnt/ldns-dane /mnt/danetool)"

step "a zone that has the old key's records alone is found out by both"
ahead waxwing cert keys | awk '$1 ~ /-1$/ {sub(/.*_25/, "_25"); sub(/ IN TLSA /, "\t20\tIN\tTLSA\t"); print}' | paste_records
published 2
await 20 "a refusal by ldns-dane and danetool" not_held
head -n 1 /mnt/ldns-dane
grep 'Verification' /mnt/danetool

step "the records that Waxwing names are published: old, current, and the one after"
publish
published 6
await 20 "a host that is held to its records" held
await 20 "the stage of the one after" is ecdsa-3 seen

step "two more days: the old key has gone, and its record with it"
move_on 96h
await 60 "the end of the first key" is ecdsa-1 gone
await 20 "records without the old keys'" named 4
publish
published 4
await 20 "a host that is held to its records" held
shows ecdsa-2 || fail "another key is in use: $(cat /mnt/keys)"
ahead waxwing cert keys
step "a key was rolled, and DANE held at every stage"
