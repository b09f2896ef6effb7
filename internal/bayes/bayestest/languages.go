package bayestest

import (
	"math/rand/v2"
	"strings"
)

// seeds are words of each topic in some languages; the rest of each vocabulary is made up.
var seeds = map[string]map[string]string{
	"en": {
		"common": "the and you for that with this have are not from your will can all has more one about our out what time when there which their been who now also other than then just into only see some could them these may like well even after any",
		"home":   "mum dad birthday weekend dinner photos garden kids holiday train cake school dog cousin wedding football beach neighbours recipe evening",
		"work":   "meeting agenda invoice draft deadline review minutes server budget schedule contract attached slides colleagues release ticket proposal quarterly branch patch",
		"news":   "edition article read editor week podcast interview science city council report readers analysis weather culture museum election climate",
		"shop":   "order parcel delivery tracking receipt items total returned warehouse size basket shipped dispatch customer invoice",
		"bank":   "statement account balance transfer branch direct debit card ending monthly interest payee reference secure",
		"pills":  "viagra cialis pharmacy pills prescription doctor discreet erection weight loss miracle enlarge potency herbal tablets",
		"money":  "million dollars transfer beneficiary inheritance fund barrister deceased bitcoin lottery winner claim consignment prince confidential",
		"phish":  "verify suspended account password click immediately unusual activity confirm identity locked update billing expire login",
		"offer":  "free offer cheap discount winner click buy now limited guarantee replica watches casino bonus unsubscribe deal cash",
	},
	"de": {
		"common": "der die das und ist nicht mit von für auf ein eine sie wir ich auch sich dass wird sind noch nach bei aus wie über nur oder wenn haben kann mehr vor zum zur diese einen hat als um am im",
		"home":   "geburtstag wochenende abendessen fotos garten kinder urlaub kuchen schule hund hochzeit fußball strand nachbarn rezept oma",
		"work":   "besprechung rechnung entwurf frist protokoll budget vertrag anbei kollegen termin angebot quartal folien freigabe",
		"news":   "ausgabe artikel redaktion woche stadtrat bericht leser wetter kultur museum wahl klima",
		"shop":   "bestellung paket lieferung sendung beleg artikel summe lager größe warenkorb versandt kunde",
		"bank":   "kontoauszug konto saldo überweisung lastschrift karte zinsen empfänger verwendungszweck filiale",
		"pills":  "potenz tabletten apotheke rezeptfrei abnehmen wunder diskret arzt kräuter pillen",
		"money":  "millionen erbschaft begünstigter fonds anwalt verstorben lotterie gewinner vertraulich bitcoin rendite",
		"phish":  "bestätigen gesperrt konto passwort sofort ungewöhnlich identität aktualisieren ablaufen anmelden",
		"offer":  "gratis angebot billig rabatt gewinner klicken kaufen garantie uhren casino bonus abmelden",
	},
	"fr": {
		"common": "le la les et est pas avec pour dans que qui une sur vous nous des plus par mais tout bien cette sont fait ont être aussi leur même",
		"home":   "anniversaire dîner photos jardin enfants vacances gâteau école chien mariage plage voisins recette soir",
		"work":   "réunion facture brouillon échéance contrat collègues budget devis rapport pièce jointe calendrier",
		"news":   "édition article rédaction semaine mairie lecteurs météo culture musée élection climat",
		"shop":   "commande colis livraison suivi reçu articles total entrepôt taille panier expédié",
		"bank":   "relevé compte solde virement prélèvement carte intérêts agence bénéficiaire",
		"pills":  "pilules pharmacie ordonnance maigrir miracle discret médecin virilité",
		"money":  "millions héritage bénéficiaire fonds avocat défunt loterie gagnant confidentiel",
		"phish":  "vérifier suspendu compte mot passe cliquez immédiatement inhabituelle identité expirer",
		"offer":  "gratuit offre remise gagnant cliquez achetez garantie montres casino bonus",
	},
	"ru": {
		"common": "и в не на что это как для по мы вы из от все так же но или если когда уже еще только может быть очень",
		"home":   "день рождения выходные ужин фото дача дети отпуск школа собака свадьба футбол бабушка",
		"work":   "совещание счет черновик срок договор коллеги бюджет отчет вложение график сервер",
		"news":   "выпуск статья редакция неделя читатели погода культура музей выборы",
		"shop":   "заказ посылка доставка чек товары сумма склад размер корзина",
		"bank":   "выписка счет остаток перевод карта проценты отделение получатель",
		"pills":  "таблетки аптека рецепт похудение чудо врач потенция",
		"money":  "миллион наследство фонд адвокат лотерея победитель выигрыш конфиденциально биткоин",
		"phish":  "подтвердите заблокирован пароль нажмите срочно личность истекает вход",
		"offer":  "бесплатно скидка дешево купить гарантия часы казино бонус акция",
	},
	"ja": {
		"common": "です ます こと もの ため から まで それ これ あり する いる なる よう さん たち",
		"home":   "誕生日 週末 夕食 写真 庭 子供 休暇 学校 結婚式 海 料理",
		"work":   "会議 請求書 草案 締切 契約 同僚 予算 報告 添付 資料 予定",
		"news":   "記事 編集 今週 読者 天気 文化 美術館 選挙 気候",
		"shop":   "注文 荷物 配送 領収書 商品 合計 倉庫 発送",
		"bank":   "明細 口座 残高 振込 引落 利息 支店",
		"pills":  "錠剤 薬局 処方 減量 奇跡 医師 精力",
		"money":  "遺産 億円 受取人 弁護士 当選 宝くじ 極秘 投資",
		"phish":  "確認 停止 暗証番号 至急 異常 本人 期限切れ ログイン",
		"offer":  "無料 激安 割引 当選者 購入 保証 時計 カジノ 特典",
	},
}

// more is how many made-up words each topic has beside those.
const more = 150

func languages(r *rand.Rand) (all []*language) {
	for _, code := range []string{"ja", "ru", "fr", "de", "en"} {
		l := &language{code: code, topics: map[string][]string{}, space: " "}
		for _, topic := range []string{"common", "home", "work", "news", "shop", "bank", "pills", "money", "phish", "offer"} {
			words := strings.Fields(seeds[code][topic])
			for range more {
				words = append(words, made(r, code))
			}
			if l.topics[topic] = words; topic == "common" {
				l.common = words
			}
		}
		all = append(all, l)
	}
	return all
}

// made is a word that sounds a little like its language.
func made(r *rand.Rand, code string) string {
	switch code {
	case "ru":
		return letters(r, "кнтрслвмпд", "аеиоуы")
	case "ja":
		return string([]rune{rune(0x4e00 + r.IntN(800)), rune(0x4e00 + r.IntN(800))})
	}
	return syllables(r, 2+r.IntN(2))
}

func syllables(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(letters(r, "bdfgklmnprstvz", "aeiou")[:2])
		b.WriteByte("lnrst"[r.IntN(5)])
	}
	return b.String()
}

func letters(r *rand.Rand, consonants, vowels string) string {
	c, v := []rune(consonants), []rune(vowels)
	var b strings.Builder
	for range 3 {
		b.WriteRune(c[r.IntN(len(c))])
		b.WriteRune(v[r.IntN(len(v))])
	}
	return b.String()
}
