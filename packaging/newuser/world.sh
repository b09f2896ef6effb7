# The Internet around a new user's machine, for packaging/newuser.sh: functions only.
#
#	5.9.0.53    knot: the root, example.org, example.net and example.com (not signed)
#	5.9.1.1     the machine, in a network and a Debian 12 of its own
#	5.9.2.1     mx.example.net: Postfix 3.10 in a Debian 13, "waxwing companion" beside it
#	5.9.3.1     mx.example.com: Exim
#	5.9.4.1     example.com's MTA-STS policy, and its HTTPS address for TLS reports
#	5.9.5.1     Pebble, under the name of Let's Encrypt
began=$(date +%s)
tsig=$(printf 'of this Internet only' | base64) # may update example.org
root=/mnt/machine   # the machine's file system
postfix=/mnt/postfix # that of the Postfix
peers=${WAXWING_PEERS:?the directory where .ci/run unpacks programs}
bookworm=${WAXWING_BOOKWORM:-/var/tmp/waxwing-bookworm} trixie=${WAXWING_TRIXIE:-/var/tmp/waxwing-trixie}

step() { printf -- '-- %s (%d s)\n' "$*" "$(($(date +%s) - began))"; }
fail() {
	printf 'FAILED: %s\n' "$*" >&2
	[ -z "${machine_net:-}" ] || on_machine waxwing tlsrpt outcomes >&2 || true
	tail -n 15 /mnt/*.log "$postfix/var/log/postfix.log" >&2 2>/dev/null || true
	exit 1
}
await() { # SECONDS WHAT COMMAND…: until the command succeeds
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/mnt/awaited 2>&1; do
		[ "$SECONDS" -lt "$end" ] || fail "no sign of $what: $(tail -n 30 /mnt/awaited)"
		sleep 0.3
	done
}
listens() { timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }

# fetch gets what the script needs from outside, before it leaves the network: the packages
# that apt will install on the machine, and two programs of this repository.
fetch() {
	if [ ! -e "$peers/mirror/Packages" ]; then
		mkdir -p "$peers/mirror/partial"
		apt-get install -y -qq --download-only -o Dir::State::status="$bookworm/var/lib/dpkg/status" -o Dir::Cache::archives="$peers/mirror" unbound >/dev/null
		(
			cd "$peers/mirror"
			for package in *.deb; do
				dpkg-deb -f "$package"
				printf 'Filename: ./%s\nSize: %d\nSHA256: %s\n\n' "$package" "$(stat -c %s "$package")" "$(sha256sum "$package" | cut -d ' ' -f 1)"
			done >Packages.part
			mv Packages.part Packages
		)
	fi
	(cd "$here/.." && CGO_ENABLED=0 "${GO:-go}" build -o "$peers/bin/" ./scripts/clock ./scripts/webhost)
}

# furnish makes room: trees with a layer of their own, the network, users.
furnish() {
	export PATH=$peers/bin:$PATH
	mount --make-rprivate /
	mount -t tmpfs -o mode=0755 tmpfs /mnt
	mount -t tmpfs -o mode=0755 tmpfs /run
	mount -t proc proc /proc
	layer "$bookworm" "$root"
	layer "$trixie" "$postfix"
	local dir
	for dir in /etc /var /usr; do # the programs that are unpacked only
		mkdir -p "/mnt/layer$dir/upper" "/mnt/layer$dir/work"
		mount -t overlay -o "lowerdir=$dir:$peers$dir,upperdir=/mnt/layer$dir/upper,workdir=/mnt/layer$dir/work" overlay "$dir"
	done
	rm -f /etc/resolv.conf
	printf 'nameserver 127.0.0.1\noptions trust-ad edns0\n' >/etc/resolv.conf
	getent passwd Debian-exim >/dev/null || printf 'Debian-exim:x:5011:5011::/mnt:/bin/sh\n' >>/etc/passwd
	getent group Debian-exim >/dev/null || printf 'Debian-exim:x:5011:\n' >>/etc/group
	# The machine's network is its own; a cable leads to the rest of the world.
	unshare --net sleep infinity &
	machine_net=$!
	until [ "$(readlink /proc/$machine_net/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
	ip link set lo up
	ip link add world type veth peer name eth0 netns "$machine_net"
	local address
	for address in 0.53 2.1 3.1 4.1 5.1; do ip addr add "5.9.$address/16" dev world; done
	ip link set world up
	nsenter --target "$machine_net" --net bash -c 'ip link set lo up && ip addr add 5.9.1.1/16 dev eth0 && ip link set eth0 up'
	world_authority
}

layer() { # TREE PLACE: the tree with a layer over it that ends with the script
	mkdir -p "$2" "$2.upper" "$2.work"
	mount -t overlay -o "lowerdir=$1,upperdir=$2.upper,workdir=$2.work" overlay "$2"
	mount -t proc proc "$2/proc"
	mount --rbind /dev "$2/dev"
}

# world_authority is a certificate authority that everybody trusts from the beginning.
world_authority() {
	mkdir -p /mnt/pki
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=World Root' -keyout /mnt/pki/ca.key -out /mnt/pki/ca.crt 2>/dev/null
}
certificate() { # NAME…: a key and a certificate in /mnt/pki, named after the first
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "/mnt/pki/$1.key" -out "/mnt/pki/$1.csr" 2>/dev/null
	openssl x509 -req -in "/mnt/pki/$1.csr" -CA /mnt/pki/ca.crt -CAkey /mnt/pki/ca.key -days 20 -out "/mnt/pki/$1.crt" \
		-extfile <(printf 'subjectAltName=%s' "$(printf 'DNS:%s\n' "$@" | paste -sd,)") 2>/dev/null
	chmod 0644 "/mnt/pki/$1.key"
}
tlsa() { # NAME: the TLSA 3 1 1 data of its key
	openssl pkey -in "/mnt/pki/$1.key" -pubout -outform DER | sha256sum | awk '{print "3 1 1 " $1}'
}

# name_servers starts knot, which signs by itself, and the world's resolver.
name_servers() {
	mkdir -p /mnt/dns/zones /mnt/dns/db
	cd /mnt/dns
	certificate mx.example.net
	certificate mx.example.com
	local zone
	for zone in example.org example.net example.com org; do
		printf '$ORIGIN %s.\n$TTL 20\n@ SOA ns hostmaster 1 3600 600 864000 2\n@ NS ns\nns A 5.9.0.53\n' "$zone" >"zones/$zone"
	done
	local net="v=TLSRPTv1; rua=mailto:reports@example.net" com="v=TLSRPTv1; rua=mailto:reports@example.com,https://reports.example.com/tlsrpt"
	printf '%s\n' '@ MX 10 mx' 'mx A 5.9.2.1' "_25._tcp.mx TLSA $(tlsa mx.example.net)" \
		"_smtp._tls TXT \"$net\"" "_smtp._tls.mx TXT \"$net\"" >>zones/example.net
	printf '%s\n' '@ MX 10 mx' 'mx A 5.9.3.1' '_mta-sts TXT "v=STSv1; id=1"' 'mta-sts A 5.9.4.1' 'reports A 5.9.4.1' "_smtp._tls TXT \"$com\"" >>zones/example.com
	# iana.org, dnssec-failed.org and org are what a resolver is tried with.
	printf '%s\n' 'acme-v02.api.letsencrypt A 5.9.5.1' 'iana A 5.9.0.53' 'example NS ns.example' 'ns.example A 5.9.0.53' \
		'dnssec-failed NS ns' "dnssec-failed DS 1 13 2 $(printf wrong | sha256sum | cut -d ' ' -f 1)" >>zones/org
	{
		printf '$ORIGIN .\n$TTL 20\n@ SOA a.root-servers.net. hostmaster.example.org. 1 3600 600 864000 2\n@ NS a.root-servers.net.\na.root-servers.net. A 5.9.0.53\n'
		printf '%s\n' '1.1.9.5.in-addr.arpa. PTR mail.example.org.' '1.2.9.5.in-addr.arpa. PTR mx.example.net.' '1.3.9.5.in-addr.arpa. PTR mx.example.com.'
		for zone in org example.net example.com; do printf '%s. NS ns.%s.\nns.%s. A 5.9.0.53\n' "$zone" "$zone" "$zone"; done
	} >zones/root
	printf '$ORIGIN dnssec-failed.org.\n@ 20 SOA a.root-servers.net. hostmaster 1 3600 600 864000 2\n@ 20 NS a.root-servers.net.\n@ 20 A 5.9.0.53\n' >zones/dnssec-failed.org
	cat >knot.conf <<-END
		server:
		    listen: 5.9.0.53@53
		    rundir: /mnt/dns
		database:
		    storage: /mnt/dns/db
		key:
		  - id: waxwing
		    algorithm: hmac-sha256
		    secret: $tsig
		acl:
		  - id: updates
		    key: waxwing
		    action: update
		policy:
		  - id: signed
		    algorithm: ecdsap256sha256
		    cds-cdnskey-publish: none
		template:
		  - id: default
		    storage: /mnt/dns/zones
		    file: "%s"
		    journal-content: all
		    zonefile-load: difference-no-serial
		    zonefile-sync: -1
		  - id: signed
		    storage: /mnt/dns/zones
		    file: "%s"
		    journal-content: all
		    zonefile-load: difference-no-serial
		    zonefile-sync: -1
		    dnssec-signing: on
		    dnssec-policy: signed
		zone:
		  - domain: .
		    template: signed
		    file: root
		  - domain: org
		    template: signed
		  - domain: example.org
		    template: signed
		    acl: updates
		  - domain: example.net
		    template: signed
		  - domain: example.com
		  - domain: dnssec-failed.org
	END
	knotd -c knot.conf >/mnt/knot.log 2>&1 &
	await 10 "knot" listens 5.9.0.53 53
	delegate example.org org
	delegate example.net root
	delegate org root
	reload org
	reload .
	keymgr -c knot.conf . dnskey >anchor
	printf '. NS a.root-servers.net.\na.root-servers.net. A 5.9.0.53\n' >hints
	printf 'server:\n chroot: ""\n username: ""\n directory: "/mnt/dns"\n pidfile: "/mnt/dns/unbound.pid"\n root-hints: hints\n trust-anchor-file: anchor\n cache-max-negative-ttl: 1\n cache-max-ttl: 2\n' >unbound.conf
	unbound -d -c unbound.conf >/mnt/unbound.log 2>&1 &
	await 10 "the world's resolver" listens 127.0.0.1 53
}
delegate() { # ZONE FILE: the zone's key, vouched for in the zone above
	await 10 "the key of $1" bash -c "keymgr -c knot.conf $1 ds | grep -q ' 13 2 '"
	keymgr -c knot.conf "$1" ds | grep ' 13 2 ' >>"zones/$2"
}
reload() { knotc -c /mnt/dns/knot.conf -b zone-reload "$1" >/dev/null; } # and signed anew

# authority starts Pebble, under the name that quickstart writes.
authority() {
	certificate acme-v02.api.letsencrypt.org
	cat >/mnt/pebble.json <<-END
		{"pebble": {"listenAddress": "5.9.5.1:443", "managementListenAddress": "127.0.0.1:15000",
		 "certificate": "/mnt/pki/acme-v02.api.letsencrypt.org.crt", "privateKey": "/mnt/pki/acme-v02.api.letsencrypt.org.key",
		 "httpPort": 80, "tlsPort": 443}}
	END
	PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 pebble -config /mnt/pebble.json -dnsserver 127.0.0.1:53 >/mnt/pebble.log 2>&1 &
	await 10 "Pebble" curl -skf https://127.0.0.1:15000/roots/0 -o /mnt/pki/pebble.crt
	cat /mnt/pki/ca.crt /mnt/pki/pebble.crt >/mnt/pki/roots.pem
}

block_of() { # LANGUAGE PAGE: the blocks between fences of that language
	awk -v want="\`\`\`$1" '$0 == want {on = 1; next} /^```/ {on = 0} on' "$2"
}
block() { # PAGE N: the Nth block of a page between fences
	awk -v want="$2" '/^```/ {if (on) on = 0; else {on = 1; n++}; next} on && n == want' "$1"
}
in_postfix() { chroot "$postfix" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"; }

# postfix_host is a Postfix as docs/operating/postfix.md sets it up, with the companion.
postfix_host() {
	dpkg -x "$deb" "$postfix"
	install -D -m 0644 /mnt/pki/roots.pem "$postfix/etc/ssl/certs/ca-certificates.crt"
	install -m 0600 /mnt/pki/mx.example.net.* "$postfix/etc/postfix/"
	mkdir -p "$postfix/etc/waxwing" "$postfix/var/spool/postfix/etc"
	rm -f "$postfix/etc/resolv.conf"
	cp /etc/resolv.conf "$postfix/etc/resolv.conf"
	cp /etc/resolv.conf "$postfix/var/spool/postfix/etc/"
	printf 'smtp 25/tcp\n' >"$postfix/var/spool/postfix/etc/services"
	block "$companion_page" 1 | sed 's/example\.org/example.net/' >"$postfix/etc/waxwing/companion.toml"
	{
		cat <<-END
			compatibility_level = 3.10
			myhostname = mx.example.net
			myorigin = example.net
			mydestination =
			inet_interfaces = 5.9.2.1, 127.0.0.1
			inet_protocols = ipv4
			smtp_bind_address = 5.9.2.1
			maillog_file = /var/log/postfix.log
			alias_maps =
			alias_database =
			smtp_tls_loglevel = 1
			smtpd_tls_security_level = may
			smtpd_tls_cert_file = /etc/postfix/mx.example.net.crt
			smtpd_tls_key_file = /etc/postfix/mx.example.net.key
			smtpd_tls_loglevel = 1
			virtual_mailbox_domains = example.net
			virtual_mailbox_base = /var/mail
			virtual_mailbox_maps = inline:{{alice@example.net=alice/}, {reports@example.net=reports/}, {tls-reports@example.net=alice/}}
			virtual_uid_maps = static:5001
			virtual_gid_maps = static:5001
		END
		block "$companion_page" 3
	} >"$postfix/etc/postfix/main.cf"
	install -d -o 5001 -g 5001 "$postfix/var/mail"
	block "$companion_page" 2 | grep -v ' companion ' | in_postfix bash -e >/mnt/companion.said 2>&1 || fail "the companion's set-up: $(cat /mnt/companion.said)"
	companion
	in_postfix waxwing domain add example.net --config /etc/waxwing/companion.toml >/dev/null
	in_postfix waxwing dkim add example.net --config /etc/waxwing/companion.toml | grep -E '^[^;].*	IN	' >>/mnt/dns/zones/example.net
	reload example.net
	in_postfix postfix start >/mnt/postfix.said 2>&1 || fail "Postfix: $(cat /mnt/postfix.said)"
	await 10 "the Postfix" listens 5.9.2.1 25
}
companion() { # [CLOCK…]
	chroot "$postfix" setpriv --reuid waxwing --regid waxwing --init-groups "$@" waxwing companion --config /etc/waxwing/companion.toml >>/mnt/companion.log 2>&1 &
	companion=$!
}

# exim_host is an Exim that keeps its mail, and sends out by DANE where there is any.
exim_host() {
	mkdir -p /mnt/exim/mail /mnt/exim/spool /mnt/exim/log /etc/exim4
	chown Debian-exim: /mnt/exim/*
	cat >/etc/exim4/exim4.conf <<-'END'
		primary_hostname = mx.example.com
		spool_directory = /mnt/exim/spool
		log_file_path = /mnt/exim/log/%slog
		local_interfaces = 5.9.3.1
		daemon_smtp_ports = 25
		disable_ipv6 = true
		keep_environment =
		host_lookup =
		dns_dnssec_ok = 1
		rfc1413_query_timeout = 0s
		domainlist served = example.com
		acl_smtp_rcpt = rcpt
		acl_smtp_data = accept
		tls_advertise_hosts = *
		tls_certificate = /mnt/pki/mx.example.com.crt
		tls_privatekey = /mnt/pki/mx.example.com.key
		log_selector = +tls_cipher +tls_certificate_verified +dkim_verbose
		begin acl
		rcpt:
		  accept domains = +served
		  deny message = no relay
		begin routers
		out:
		  driver = dnslookup
		  domains = !+served
		  dnssec_request_domains = *
		  transport = out
		  no_more
		served:
		  driver = accept
		  transport = maildir
		begin transports
		out:
		  driver = smtp
		  interface = 5.9.3.1
		  dnssec_request_domains = *
		  hosts_try_dane = *
		maildir:
		  driver = appendfile
		  directory = /mnt/exim/mail/inbox
		  create_directory
		  maildir_format
		  user = Debian-exim
	END
	exim4 -bdf >/mnt/exim.log 2>&1 &
	await 10 "the Exim" listens 5.9.3.1 25
}

# policy_host serves example.com's policy and takes its reports.
policy_host() {
	certificate mta-sts.example.com reports.example.com
	printf 'version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmax_age: 604800\r\n' >/mnt/mta-sts.txt
	mkdir -p /mnt/posted
	webhost -listen 5.9.4.1:443 -cert /mnt/pki/mta-sts.example.com.crt -key /mnt/pki/mta-sts.example.com.key -policy /mnt/mta-sts.txt -reports /mnt/posted >/mnt/webhost.log 2>&1 &
	await 10 "the policy host" listens 5.9.4.1 443
}

on_machine() { nsenter --target "$machine_net" --net chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }

# machine furnishes the user's: a bare Debian 12 that trusts the world's authorities, with
# this Internet's root where unbound would have that of the real one, a mirror of Debian's
# packages, and a stand-in for systemd, which does what the units say.
machine() { # PACKAGE
	cp "$1" "$root/root/"
	cat /mnt/pki/roots.pem >>"$root/etc/ssl/certs/ca-certificates.crt"
	echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
	mkdir -p "$root/srv/world" "$root/srv/mirror" "$root/etc/unbound/unbound.conf.d"
	mount --bind "$peers/mirror" "$root/srv/mirror"
	echo 'deb [trusted=yes] file:/srv/mirror ./' >"$root/etc/apt/sources.list"
	echo 'APT::Get::Assume-Yes "yes";' >"$root/etc/apt/apt.conf.d/90here"
	cp /mnt/dns/anchor /mnt/dns/hints "$peers/bin/clock" "$root/srv/world/"
	printf 'server:\n root-hints: "/srv/world/hints"\n cache-max-negative-ttl: 1\n cache-max-ttl: 2\n' >"$root/etc/unbound/unbound.conf.d/world.conf"
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	cat >"$root/usr/local/bin/systemctl" <<-'END'
		#!/bin/sh
		# What systemd would do with "enable --now": start the unit's program as its user, with
		# its one capability. $CLOCK goes before it.
		unit=/usr/lib/systemd/system/${3%.service}.service
		get() { sed -n "s/^$1=//p" "$unit"; }
		install -d -o "$(get User)" -g "$(get Group)" "/run/$(get RuntimeDirectory)"
		setpriv --reuid "$(get User)" --regid "$(get Group)" --init-groups --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service \
			--bounding-set=-all,+net_bind_service --no-new-privs $CLOCK $(get ExecStart) >>/srv/world/server.log 2>&1 &
		echo $! >/srv/world/server.pid
	END
	chmod +x "$root/usr/sbin/policy-rc.d" "$root/usr/local/bin/systemctl"
	on_machine apt-get update -qq
	ln -s "$root/srv/world/server.log" /mnt/server.log
}
start_unbound() { # as its unit does, with this Internet's root key
	on_machine install -o unbound -g unbound -m 0644 /srv/world/anchor /var/lib/unbound/root.key
	on_machine unbound -d >/mnt/machine-unbound.log 2>&1 &
	await 10 "the machine's resolver" on_machine bash -c 'exec 3<>/dev/tcp/127.0.0.1/53'
}

paste_records() { # the records on standard input go into the zone, in the place of what had their names
	grep -E '^[^;].*	IN	' >/mnt/dns/pasted
	awk 'NR == FNR {new[$1]; next} !($1 in new)' /mnt/dns/pasted /mnt/dns/zones/example.org >/mnt/dns/kept
	cat /mnt/dns/kept /mnt/dns/pasted >/mnt/dns/zones/example.org
	reload example.org
	sleep 2 # resolvers keep what was there before for as long (cache-max-ttl); an authority that is asked within it tells "no such name"
}

certified() { # each name has its certificate, and the host two, one for each sort of key
	on_machine waxwing cert list
	[ "$(grep -c '^mail\.example\.org .* issued ' /mnt/awaited)" = 2 ] && ! grep '^[a-z0-9.-]*\.example\.org ' /mnt/awaited | grep -v ' issued '
}
policy_shown() { # the record of the policy that is served, which is in mode enforce
	on_machine waxwing dns check example.org >/mnt/checked
	! grep -q ' sts-' /mnt/checked
}
signing() { [ "$(on_machine waxwing dkim check example.org --json | grep -c '"state": "signing"')" = 2 ]; }
delivered() { on_machine waxwing mail trace "$1" --json | tee "/mnt/trace.$1" | grep -q '"state": "delivered"'; }
traced() { # ADDRESS HOW WORDS…: the proof of travel of the mail to it says so
	local to=$1 word
	grep -q "\"tls\": \"$2\"" "/mnt/trace.$to" || fail "no \"tls\": \"$2\" in $(cat "/mnt/trace.$to")"
	shift 2
	for word; do grep -q "\"word\": \"$word\"" "/mnt/trace.$to" || fail "the mail to $to did not go by $word: $(cat "/mnt/trace.$to")"; done
	echo "mail trace $to: tls $(sed -n 's/.*"tls": "\(.*\)".*/\1/p' "/mnt/trace.$to" | head -1), by $(sed -n 's/.*"word": "\(.*\)".*/\1/p' "/mnt/trace.$to" | grep -v accepted | paste -sd' ')"
}
holds() { grep "$2" "$1"; } # FILE TEXT: a log says so
arrived() { on_machine waxwing mail list you | grep -q "$1"; }

# move_on has the machine's server live that much ahead: it ends, and starts again with
# another clock.
move_on() { # DURATION, as Go writes it
	ahead=$1
	local server before
	server=$(cat "$root/srv/world/server.pid")
	before=$(grep -c msg=serving "$root/srv/world/server.log")
	kill -TERM "$server"
	while kill -0 "$server" 2>/dev/null; do sleep 0.1; done
	on_machine env CLOCK="/srv/world/clock -ahead $ahead" systemctl enable --now waxwing
	await 30 "the server" serves "$root/srv/world/server.log" "$before"
}
serves() { [ "$(grep -c msg=serving "$1")" -gt "$2" ]; } # LOG N: it has begun more than N times
ahead() { on_machine /srv/world/clock -ahead "$ahead" "$@"; } # a command at the machine's time

# next_day has the machine and the companion live six hours after the midnight that follows.
next_day() {
	move_on $((($(date +%s) / 86400 + 1) * 86400 + 6 * 3600 - $(date +%s)))s
	kill -TERM "$companion"
	wait "$companion" || true
	cp "$peers/bin/clock" "$postfix/usr/local/bin/"
	companion /usr/local/bin/clock -ahead "$ahead"
	await 30 "the companion" serves /mnt/companion.log 1
}

unpacked() { # the report in a mail, as RFC 8460 §5.3 has it, unpacked with nothing of ours
	awk 'tolower($0) ~ /^content-type: application\/tlsrpt\+gzip/ {part = 1; next} part && /^\r?$/ {body = 1; next} body && /^--/ {exit} body' "$1" | base64 -d | gunzip
}
has_json() { tr -d ' \n' <"$1" | grep -q "$2"; } # FILE TEXT without spaces
report_mailed() { # to the Postfix: signed, and about a session that met DANE
	local mail
	mail=$(ls "$postfix"/var/mail/reports/new/*)
	grep -q '^DKIM-Signature:' "$mail"
	unpacked "$mail" >/mnt/mailed.json
	has_json /mnt/mailed.json '"policy-type":"tlsa"'
	has_json /mnt/mailed.json '"total-successful-session-count":1,"total-failure-session-count":0'
}
report_posted() { # to the HTTPS address: about a session that met MTA-STS
	cat /mnt/posted/*.json >/mnt/posted.json
	has_json /mnt/posted.json '"policy-type":"sts"'
	has_json /mnt/posted.json '"total-successful-session-count":1,"total-failure-session-count":0'
}
report_verified() { # to the Exim, which verifies DKIM: the mail and its signatures
	local id
	id=$(sed -n 's/.* \([^ ]*\) => reports .*/\1/p' /mnt/exim/log/mainlog)
	grep "$id DKIM: d=example.org .*\[verification succeeded\]" /mnt/exim/log/mainlog
}
report_received() { # of the Postfix, about the host's DANE
	on_machine waxwing tlsrpt reports --json >/mnt/received.json
	cat /mnt/received.json
	has_json /mnt/received.json example.net
}
