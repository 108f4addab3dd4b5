/** Labels of things that say nothing about a person, many with the head words of sensitive ones (number, name, date, code, address). As in sensitive.ts. */
export const neutralLabels: Readonly<Record<string, string>> = {
  nature: `
    weather | tiempo meteorológico | météo | Wetter | tempo atmosferico | tempo meteorológico | حالة الطقس | 天气
    wind speed | velocidad del viento | vitesse du vent | Windgeschwindigkeit | velocità del vento | velocidade do vento | سرعة الرياح | 风速
    height of the mountain | altura de la montaña | hauteur de la montagne | Höhe des Berges | altezza della montagna | altura da montanha | ارتفاع الجبل | 山的高度
    name of the flower | nombre de la flor | nom de la fleur | Name der Blume | nome del fiore | nome da flor | اسم الزهرة | 花的名称
    season of the year | estación del año | saison de l'année | Jahreszeit | stagione dell'anno | estação do ano | فصل السنة | 季节
    length of the river | longitud del río | longueur du fleuve | Länge des Flusses | lunghezza del fiume | comprimento do rio | طول النهر | 河流长度
    phase of the moon | fase de la luna | phase de la lune | Mondphase | fase lunare | fase da lua | طور القمر | 月相
    species of bird | especie de ave | espèce d'oiseau | Vogelart | specie di uccello | espécie de ave | نوع الطائر | 鸟的种类`,
  food: `
    recipe | receta de cocina | recette de cuisine | Kochrezept | ricetta di cucina | receita culinária | وصفة الطبخ | 菜谱
    cooking time | tiempo de cocción | temps de cuisson | Kochzeit | tempo di cottura | tempo de cozedura | مدة الطهي | 烹饪时间
    price of bread | precio del pan | prix du pain | Brotpreis | prezzo del pane | preço do pão | سعر الخبز | 面包价格
    menu of the day | menú del día | menu du jour | Tagesmenü | menù del giorno | menu do dia | قائمة طعام اليوم | 今日菜单
    kind of cheese | tipo de queso | type de fromage | Käsesorte | tipo di formaggio | tipo de queijo | نوع الجبن | 奶酪种类
    best-before date | fecha de consumo preferente | date limite de consommation | Mindesthaltbarkeitsdatum | data di scadenza del prodotto | data de validade do alimento | تاريخ انتهاء صلاحية الطعام | 食品保质期
    number of eggs | número de huevos | nombre d'œufs | Anzahl der Eier | numero di uova | número de ovos | عدد البيض | 鸡蛋数量
    colour of the apple | color de la manzana | couleur de la pomme | Farbe des Apfels | colore della mela | cor da maçã | لون التفاحة | 苹果颜色`,
  culture: `
    film title | título de la película | titre du film | Filmtitel | titolo del film | título do filme | عنوان الفيلم | 电影名称
    page number | número de página | numéro de page | Seitenzahl | numero di pagina | número da página | رقم الصفحة | 页码
    name of the museum | nombre del museo | nom du musée | Name des Museums | nome del museo | nome do museu | اسم المتحف | 博物馆名称
    genre of music | género musical | genre musical | Musikrichtung | genere musicale | género musical | نوع الموسيقى | 音乐类型
    release date of the album | fecha de lanzamiento del disco | date de sortie de l'album | Erscheinungsdatum des Albums | data di uscita dell'album | data de lançamento do álbum | تاريخ صدور الألبوم | 专辑发行日期
    style of painting | estilo de pintura | style de peinture | Malstil | stile pittorico | estilo de pintura | أسلوب الرسم | 绘画风格
    chapter heading | título del capítulo | titre du chapitre | Kapitelüberschrift | titolo del capitolo | título do capítulo | عنوان فصل الكتاب | 章节标题
    history of art | historia del arte | histoire de l'art | Kunstgeschichte | storia dell'arte | história da arte | تاريخ الفن | 艺术史`,
  sport: `
    final score | resultado del partido | score du match | Endstand des Spiels | risultato della partita | resultado do jogo | نتيجة المباراة | 比赛比分
    rules of chess | reglas del ajedrez | règles des échecs | Schachregeln | regole degli scacchi | regras do xadrez | قواعد الشطرنج | 国际象棋规则
    number of players | número de jugadores | nombre de joueurs | Anzahl der Spieler | numero di giocatori | número de jogadores | عدد اللاعبين | 球员人数
    name of the team | nombre del equipo | nom de l'équipe | Name der Mannschaft | nome della squadra | nome da equipa | اسم الفريق | 球队名称
    colour of the jersey | color de la camiseta | couleur du maillot | Trikotfarbe | colore della maglia | cor da camisola | لون القميص الرياضي | 球衣颜色
    size of the ball | tamaño del balón | taille du ballon | Größe des Balls | dimensione del pallone | tamanho da bola | حجم الكرة | 球的尺寸
    capacity of the stadium | capacidad del estadio | capacité du stade | Fassungsvermögen des Stadions | capienza dello stadio | capacidade do estádio | سعة الملعب | 体育场容量
    date of the championship | fecha del campeonato | date du championnat | Datum der Meisterschaft | data del campionato | data do campeonato | تاريخ البطولة | 锦标赛日期`,
  products: `
    version number | número de versión | numéro de version | Versionsnummer | numero di versione | número da versão | رقم الإصدار | 版本号
    screen size | tamaño de la pantalla | taille de l'écran | Bildschirmgröße | dimensione dello schermo | tamanho do ecrã | حجم الشاشة | 屏幕尺寸
    product name | nombre del producto | nom du produit | Produktname | nome del prodotto | nome do produto | اسم المنتج | 产品名称
    colour code | código de color | code couleur | Farbcode | codice del colore | código de cor | رمز اللون | 颜色代码
    file format | formato del archivo | format du fichier | Dateiformat | formato del file | formato do ficheiro | صيغة الملف | 文件格式
    discount code | código de descuento | code de réduction | Rabattcode | codice sconto | código de desconto | رمز الخصم | 折扣码
    model number of the printer | número de modelo de la impresora | numéro de modèle de l'imprimante | Modellnummer des Druckers | numero di modello della stampante | número do modelo da impressora | رقم طراز الطابعة | 打印机型号
    battery capacity | capacidad de la batería | capacité de la batterie | Akkukapazität | capacità della batteria | capacidade da bateria | سعة البطارية | 电池容量`,
  travel: `
    flight number | número de vuelo | numéro de vol | Flugnummer | numero del volo | número do voo | رقم الرحلة الجوية | 航班号
    train timetable | horario de trenes | horaires des trains | Zugfahrplan | orario dei treni | horário dos comboios | جدول مواعيد القطارات | 火车时刻表
    speed limit | límite de velocidad | limite de vitesse | Tempolimit | limite di velocità | limite de velocidade | حد السرعة | 限速
    capital city | capital del país | capitale du pays | Hauptstadt | capitale del paese | capital do país | عاصمة البلد | 首都
    time zone | zona horaria | fuseau horaire | Zeitzone | fuso orario | fuso horário | المنطقة الزمنية | 时区
    platform number | número de andén | numéro de quai | Gleisnummer | numero del binario | número da plataforma | رقم الرصيف | 站台号
    country code | código del país | code du pays | Ländercode | codice del paese | código do país | رمز الدولة | 国家代码
    distance between two cities | distancia entre ciudades | distance entre les villes | Entfernung zwischen Städten | distanza tra le città | distância entre cidades | المسافة بين المدينتين | 城市距离`,
  science: `
    chemical formula | fórmula química | formule chimique | chemische Formel | formula chimica | fórmula química | الصيغة الكيميائية | 化学式
    boiling point of water | punto de ebullición del agua | point d'ébullition de l'eau | Siedepunkt des Wassers | punto di ebollizione dell'acqua | ponto de ebulição da água | درجة غليان الماء | 水的沸点
    name of the planet | nombre del planeta | nom de la planète | Name des Planeten | nome del pianeta | nome do planeta | اسم الكوكب | 行星名称
    unit of measure | unidad de medida | unité de mesure | Maßeinheit | unità di misura | unidade de medida | وحدة القياس | 计量单位
    multiplication table | tabla de multiplicar | table de multiplication | Einmaleins | tavola pitagorica | tabuada | جدول الضرب | 乘法表
    atomic number | número atómico | numéro atomique | Ordnungszahl des Elements | numero atomico | número atómico | العدد الذري | 原子序数
    date of the eclipse | fecha del eclipse | date de l'éclipse | Datum der Sonnenfinsternis | data dell'eclissi | data do eclipse | تاريخ كسوف الشمس | 日食日期
    law of gravity | ley de la gravedad | loi de la gravité | Gesetz der Schwerkraft | legge di gravità | lei da gravidade | قانون الجاذبية | 万有引力定律`,
  everyday: `
    favourite colour | color favorito | couleur préférée | Lieblingsfarbe | colore preferito | cor favorita | اللون المفضل | 最喜欢的颜色
    opening hours | horario de apertura | heures d'ouverture | Öffnungszeiten | orario di apertura | horário de abertura | ساعات فتح المتجر | 营业时间
    address of the shop | dirección de la tienda | adresse du magasin | Adresse des Geschäfts | indirizzo del negozio | endereço da loja | عنوان المتجر | 商店地址
    size of the table | tamaño de la mesa | taille de la table | Größe des Tisches | dimensione del tavolo | tamanho da mesa | حجم الطاولة | 桌子尺寸
    washing instructions | instrucciones de lavado | consignes de lavage | Waschanleitung | istruzioni di lavaggio | instruções de lavagem | تعليمات الغسيل | 洗涤说明
    public holiday | día festivo | jour férié | Feiertag | giorno festivo | dia feriado | العطلة الرسمية | 公共假日
    material of the curtain | material de la cortina | matière du rideau | Stoff des Vorhangs | tessuto della tenda | material da cortina | قماش الستارة | 窗帘材质
    telephone number of the town hall | teléfono del ayuntamiento | téléphone de la mairie | Telefonnummer des Rathauses | telefono del municipio | telefone da câmara municipal | هاتف البلدية | 市政厅电话`,
};
