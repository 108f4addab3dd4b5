/** Labels of personal data that identify a person or can harm one. Columns as in `languages` of index.ts; split by position, see there. */
export const sensitiveLabels: Readonly<Record<string, string>> = {
  identity: `
    passport number | número de pasaporte | numéro de passeport | Reisepassnummer | numero di passaporto | número do passaporte | رقم جواز السفر | 护照号码
    identity card number | número del documento de identidad | numéro de carte d'identité | Personalausweisnummer | numero della carta d'identità | número do bilhete de identidade | رقم بطاقة الهوية | 身份证号码
    full name | nombre completo | nom et prénom | vollständiger Name | nome e cognome | nome completo | الاسم الكامل | 姓名
    tax identification number | número de identificación fiscal | numéro d'identification fiscale | Steueridentifikationsnummer | codice fiscale | número de contribuinte | الرقم الضريبي للشخص | 个人纳税人识别号
    date of birth | fecha de nacimiento | date de naissance | Geburtsdatum | data di nascita | data de nascimento | تاريخ الميلاد | 出生日期
    residence permit number | número del permiso de residencia | numéro de titre de séjour | Nummer des Aufenthaltstitels | numero del permesso di soggiorno | número da autorização de residência | رقم تصريح الإقامة | 居留许可号码
    driving licence number | número del permiso de conducir | numéro de permis de conduire | Führerscheinnummer | numero della patente di guida | número da carta de condução | رقم رخصة القيادة | 驾驶证号码
    mother's maiden name | apellido de soltera de la madre | nom de jeune fille de la mère | Mädchenname der Mutter | cognome da nubile della madre | nome de solteira da mãe | اسم عائلة الأم قبل الزواج | 母亲婚前姓氏`,
  contact: `
    home address | dirección del domicilio | adresse du domicile | Wohnanschrift | indirizzo di casa | endereço residencial | عنوان السكن | 家庭住址
    mobile phone number | número de teléfono móvil | numéro de téléphone portable | Handynummer | numero di cellulare | número de telemóvel | رقم الهاتف المحمول | 手机号码
    private e-mail address | correo electrónico personal | adresse électronique personnelle | private E-Mail-Adresse | indirizzo e-mail personale | e-mail pessoal | البريد الإلكتروني الشخصي | 个人电子邮箱
    emergency contact | contacto de emergencia | personne à prévenir en cas d'urgence | Notfallkontakt | contatto di emergenza | contacto de emergência | جهة الاتصال في حالات الطوارئ | 紧急联系人
    postcode of residence | código postal del domicilio | code postal du domicile | Postleitzahl des Wohnorts | codice postale di residenza | código postal da residência | الرمز البريدي للسكن | 居住地邮政编码
    private messenger account | cuenta de mensajería personal | compte de messagerie privé | privates Messenger-Konto | account di messaggistica personale | conta pessoal de mensagens | حساب المراسلة الشخصي | 个人聊天账号
    landline number at home | teléfono fijo de casa | téléphone fixe du domicile | Festnetznummer zu Hause | telefono fisso di casa | telefone fixo de casa | رقم الهاتف المنزلي | 家庭座机号码
    door code of the flat | código de la puerta del piso | code d'entrée de l'appartement | Türcode der Wohnung | codice del portone di casa | código da porta do apartamento | رمز باب الشقة | 公寓门禁密码`,
  finance: `
    bank account number | número de cuenta bancaria | numéro de compte bancaire | Kontonummer | numero di conto bancario | número da conta bancária | رقم الحساب المصرفي | 银行账号
    credit card number | número de tarjeta de crédito | numéro de carte de crédit | Kreditkartennummer | numero della carta di credito | número do cartão de crédito | رقم بطاقة الائتمان | 信用卡号码
    monthly salary | salario mensual | salaire mensuel | Monatsgehalt | stipendio mensile | salário mensal | الراتب الشهري | 月薪
    card security code | código de seguridad de la tarjeta | code de sécurité de la carte | Prüfziffer der Karte | codice di sicurezza della carta | código de segurança do cartão | رمز أمان البطاقة | 银行卡安全码
    personal debts | deudas personales | dettes personnelles | persönliche Schulden | debiti personali | dívidas pessoais | الديون الشخصية | 个人债务
    credit score | puntuación crediticia | cote de crédit personnelle | Bonitätsscore | punteggio di credito | pontuação de crédito | درجة الجدارة الائتمانية | 个人信用评分
    IBAN | IBAN de la cuenta | IBAN du titulaire | IBAN des Kontos | IBAN del conto | IBAN da conta | رقم الآيبان | 国际银行账户号码
    tax return | declaración de la renta | déclaration de revenus | Steuererklärung | dichiarazione dei redditi | declaração de rendimentos | الإقرار الضريبي | 个人所得税申报表`,
  health: `
    medical diagnosis | diagnóstico médico | diagnostic médical | ärztliche Diagnose | diagnosi medica | diagnóstico médico | التشخيص الطبي | 医疗诊断
    blood group | grupo sanguíneo | groupe sanguin | Blutgruppe | gruppo sanguigno | tipo sanguíneo | فصيلة الدم | 血型
    prescribed medicines | medicamentos recetados | médicaments prescrits | verschriebene Medikamente | farmaci prescritti | medicamentos receitados | الأدوية الموصوفة | 处方药物
    health insurance number | número del seguro médico | numéro d'assurance maladie | Krankenversicherungsnummer | numero della tessera sanitaria | número do seguro de saúde | رقم التأمين الصحي | 医疗保险号
    degree of disability | grado de discapacidad | taux d'invalidité | Grad der Behinderung | grado di invalidità | grau de deficiência | درجة الإعاقة | 残疾等级
    vaccination record | cartilla de vacunación | carnet de vaccination | Impfpass | libretto delle vaccinazioni | boletim de vacinas | سجل التطعيمات | 疫苗接种记录
    allergies of the patient | alergias del paciente | allergies du patient | Allergien des Patienten | allergie del paziente | alergias do paciente | حساسية المريض | 患者过敏史
    psychotherapy notes | notas de psicoterapia | notes de psychothérapie | Notizen der Psychotherapie | note di psicoterapia | notas de psicoterapia | ملاحظات العلاج النفسي | 心理治疗记录`,
  online: `
    password | contraseña | mot de passe | Passwort | password | palavra-passe | كلمة المرور | 密码
    IP address | dirección IP | adresse IP | IP-Adresse | indirizzo IP | endereço IP | عنوان بروتوكول الإنترنت | IP地址
    browsing history | historial de navegación | historique de navigation | Browserverlauf | cronologia di navigazione | histórico de navegação | سجل التصفح | 浏览记录
    GPS position of the phone | ubicación GPS del móvil | position GPS du téléphone | GPS-Standort des Handys | posizione GPS del telefono | localização GPS do telemóvel | موقع الهاتف عبر الأقمار | 手机定位
    answer to the security question | respuesta de seguridad | réponse à la question secrète | Antwort auf die Sicherheitsfrage | risposta alla domanda di sicurezza | resposta de segurança | إجابة سؤال الأمان | 安全问题答案
    login name | nombre de usuario | nom d'utilisateur | Benutzername | nome utente | nome de utilizador | اسم المستخدم | 用户名
    IMEI of the phone | IMEI del teléfono | IMEI du téléphone | IMEI des Telefons | IMEI del telefono | IMEI do telefone | رقم تعريف الهاتف | 手机设备识别码
    PIN code | código PIN | code PIN | PIN-Code | codice PIN | código PIN | الرقم السري | 个人识别码`,
  "private life": `
    religion | religión | religion | Religionszugehörigkeit | religione | religião | الديانة | 宗教信仰
    sexual orientation | orientación sexual | orientation sexuelle | sexuelle Orientierung | orientamento sessuale | orientação sexual | الميول الجنسية | 性取向
    political opinion | opinión política | opinion politique | politische Meinung | opinione politica | opinião política | الرأي السياسي | 政治观点
    criminal record | antecedentes penales | casier judiciaire | Vorstrafen | precedenti penali | antecedentes criminais | السجل الجنائي | 犯罪记录
    marital status | estado civil | situation matrimoniale | Familienstand | stato civile | estado civil | الحالة الاجتماعية | 婚姻状况
    trade union membership | afiliación sindical | appartenance syndicale | Gewerkschaftszugehörigkeit | appartenenza sindacale | filiação sindical | العضوية النقابية | 工会会员身份
    ethnic origin | origen étnico | origine ethnique | ethnische Herkunft | origine etnica | origem étnica | الأصل العرقي | 民族血统
    name of the spouse | nombre del cónyuge | nom du conjoint | Name des Ehepartners | nome del coniuge | nome do cônjuge | اسم الزوج أو الزوجة | 配偶姓名`,
  body: `
    fingerprint | huella dactilar | empreinte digitale | Fingerabdruck | impronta digitale | impressão digital | بصمة الإصبع | 指纹
    face photo | fotografía del rostro | photo du visage | Gesichtsfoto | foto del volto | fotografia do rosto | صورة الوجه | 人脸照片
    DNA profile | perfil de ADN | profil ADN | DNA-Profil | profilo del DNA | perfil de ADN | البصمة الوراثية | 基因信息
    handwritten signature | firma manuscrita | signature manuscrite | eigenhändige Unterschrift | firma autografa | assinatura manuscrita | التوقيع بخط اليد | 手写签名
    body weight | peso corporal | poids corporel | Körpergewicht | peso corporeo | peso corporal | وزن الجسم | 体重
    recording of the voice | grabación de la voz | enregistrement de la voix | Stimmaufnahme | registrazione della voce | gravação da voz | تسجيل صوت الشخص | 声音录音
    iris scan | escáner del iris | scan de l'iris | Iris-Scan | scansione dell'iride | leitura da íris | مسح قزحية العين | 虹膜扫描
    age of the person | edad de la persona | âge de la personne | Alter der Person | età della persona | idade da pessoa | عمر الشخص | 个人年龄`,
  "work and family": `
    employee number | número de empleado | matricule du salarié | Personalnummer | numero di matricola del dipendente | número de funcionário | رقم الموظف | 员工编号
    school grades | notas escolares | notes scolaires | Schulnoten | voti scolastici | notas escolares | الدرجات المدرسية | 学习成绩
    vehicle number plate | matrícula del coche | plaque d'immatriculation | Autokennzeichen | targa dell'auto | matrícula do carro | رقم لوحة السيارة | 车牌号码
    name of the child | nombre del hijo | nom de l'enfant | Name des Kindes | nome del figlio | nome do filho | اسم الطفل | 孩子姓名
    reason for dismissal | motivo del despido | motif du licenciement | Kündigungsgrund | motivo del licenziamento | motivo do despedimento | سبب الفصل من العمل | 被解雇原因
    student number | número de estudiante | numéro d'étudiant | Matrikelnummer | numero di matricola dello studente | número de estudante | رقم الطالب | 学号
    CV of the applicant | currículum del candidato | CV du candidat | Lebenslauf des Bewerbers | curriculum del candidato | currículo do candidato | السيرة الذاتية للمتقدم | 应聘者简历
    social security number | número de la seguridad social | numéro de sécurité sociale | Sozialversicherungsnummer | numero di previdenza sociale | número da segurança social | رقم الضمان الاجتماعي | 社会保障号码`,
};
