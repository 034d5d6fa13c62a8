"""The vocabulary of the sample: names with their pinyin, places, goods, and who uses them how often.

Weights are rough shares of a Chinese consumer brand's customers; they shape the sample and claim nothing more.
"""

from __future__ import annotations

# Surname, pinyin, share in per mille (the most frequent surnames of the 2020 name report, the tail flattened).
SURNAMES: tuple[tuple[str, str, int], ...] = (
    ("王", "wang", 72), ("李", "li", 71), ("张", "zhang", 67), ("刘", "liu", 52), ("陈", "chen", 49),
    ("杨", "yang", 32), ("黄", "huang", 25), ("赵", "zhao", 22), ("吴", "wu", 21), ("周", "zhou", 20),
    ("徐", "xu", 16), ("孙", "sun", 15), ("马", "ma", 14), ("朱", "zhu", 13), ("胡", "hu", 12),
    ("郭", "guo", 12), ("何", "he", 11), ("林", "lin", 11), ("高", "gao", 10), ("罗", "luo", 10),
    ("郑", "zheng", 9), ("梁", "liang", 9), ("谢", "xie", 8), ("宋", "song", 8), ("唐", "tang", 7),
    ("许", "xu", 7), ("韩", "han", 7), ("冯", "feng", 7), ("邓", "deng", 6), ("曹", "cao", 6),
    ("彭", "peng", 6), ("曾", "zeng", 6), ("肖", "xiao", 6), ("田", "tian", 5), ("董", "dong", 5),
    ("潘", "pan", 5), ("袁", "yuan", 5), ("蔡", "cai", 5), ("蒋", "jiang", 5), ("余", "yu", 5),
    ("欧阳", "ouyang", 2), ("上官", "shangguan", 1), ("司马", "sima", 1), ("诸葛", "zhuge", 1),
)  # fmt: skip

# Characters of given names with their pinyin, by the gender that carries them more often.
GIVEN_FEMALE: tuple[tuple[str, str], ...] = (
    ("婷", "ting"), ("静", "jing"), ("丽", "li"), ("敏", "min"), ("雪", "xue"), ("梅", "mei"), ("娟", "juan"),
    ("燕", "yan"), ("芳", "fang"), ("娜", "na"), ("欣", "xin"), ("怡", "yi"), ("涵", "han"), ("梓", "zi"),
    ("诗", "shi"), ("雨", "yu"), ("琪", "qi"), ("佳", "jia"), ("悦", "yue"), ("晓", "xiao"), ("文", "wen"),
    ("思", "si"), ("若", "ruo"), ("可", "ke"), ("馨", "xin"), ("倩", "qian"), ("颖", "ying"), ("洁", "jie"),
)  # fmt: skip
GIVEN_MALE: tuple[tuple[str, str], ...] = (
    ("伟", "wei"), ("强", "qiang"), ("磊", "lei"), ("军", "jun"), ("勇", "yong"), ("杰", "jie"), ("涛", "tao"),
    ("明", "ming"), ("超", "chao"), ("浩", "hao"), ("宇", "yu"), ("轩", "xuan"), ("博", "bo"), ("鹏", "peng"),
    ("子", "zi"), ("志", "zhi"), ("建", "jian"), ("国", "guo"), ("文", "wen"), ("俊", "jun"), ("凯", "kai"),
    ("晨", "chen"), ("睿", "rui"), ("航", "hang"), ("阳", "yang"), ("飞", "fei"), ("斌", "bin"), ("平", "ping"),
)  # fmt: skip

# Full province name, short name, share, cities. Exports of the shops write one form or the other.
REGIONS: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    ("北京市", "北京", 62, ("北京市",)),
    ("天津市", "天津", 18, ("天津市",)),
    ("河北省", "河北", 34, ("石家庄市", "唐山市", "保定市", "邯郸市")),
    ("山西省", "山西", 17, ("太原市", "大同市", "运城市")),
    ("内蒙古自治区", "内蒙古", 10, ("呼和浩特市", "包头市", "赤峰市")),
    ("辽宁省", "辽宁", 28, ("沈阳市", "大连市", "鞍山市")),
    ("吉林省", "吉林", 12, ("长春市", "吉林市")),
    ("黑龙江省", "黑龙江", 14, ("哈尔滨市", "大庆市")),
    ("上海市", "上海", 95, ("上海市",)),
    ("江苏省", "江苏", 80, ("南京市", "苏州市", "无锡市", "常州市", "南通市")),
    ("浙江省", "浙江", 78, ("杭州市", "宁波市", "温州市", "金华市", "嘉兴市")),
    ("安徽省", "安徽", 30, ("合肥市", "芜湖市", "阜阳市")),
    ("福建省", "福建", 36, ("福州市", "厦门市", "泉州市")),
    ("江西省", "江西", 20, ("南昌市", "赣州市", "九江市")),
    ("山东省", "山东", 58, ("济南市", "青岛市", "烟台市", "潍坊市")),
    ("河南省", "河南", 46, ("郑州市", "洛阳市", "南阳市")),
    ("湖北省", "湖北", 38, ("武汉市", "宜昌市", "襄阳市")),
    ("湖南省", "湖南", 36, ("长沙市", "株洲市", "衡阳市")),
    ("广东省", "广东", 98, ("广州市", "深圳市", "佛山市", "东莞市", "珠海市")),
    ("广西壮族自治区", "广西", 18, ("南宁市", "柳州市", "桂林市")),
    ("海南省", "海南", 6, ("海口市", "三亚市")),
    ("重庆市", "重庆", 28, ("重庆市",)),
    ("四川省", "四川", 52, ("成都市", "绵阳市", "宜宾市")),
    ("贵州省", "贵州", 12, ("贵阳市", "遵义市")),
    ("云南省", "云南", 16, ("昆明市", "大理白族自治州", "曲靖市")),
    ("西藏自治区", "西藏", 1, ("拉萨市",)),
    ("陕西省", "陕西", 26, ("西安市", "咸阳市", "宝鸡市")),
    ("甘肃省", "甘肃", 8, ("兰州市", "天水市")),
    ("青海省", "青海", 2, ("西宁市",)),
    ("宁夏回族自治区", "宁夏", 3, ("银川市",)),
    ("新疆维吾尔自治区", "新疆", 7, ("乌鲁木齐市", "喀什地区")),
)

# First three digits of mobile numbers: the four networks, and the resellers (virtual operators) on them.
MOBILE_PREFIXES = (
    "130", "131", "132", "133", "135", "136", "137", "138", "139", "147", "150", "151", "152", "155", "158", "159",
    "166", "173", "175", "176", "177", "178", "180", "181", "182", "183", "185", "186", "187", "188", "189", "191",
    "193", "198", "199",
)  # fmt: skip
VIRTUAL_PREFIXES = ("162", "165", "167", "170", "171")

# Sub-domains of a domain reserved for examples (RFC 2606): shaped like the usual ones, delivered to nobody.
MAIL_DOMAINS: tuple[tuple[str, int], ...] = (
    ("qq.example.com", 52), ("163.example.com", 24), ("126.example.com", 8), ("foxmail.example.com", 6),
    ("sina.example.com", 4), ("outlook.example.com", 6),
)  # fmt: skip

# Stock-keeping unit, title, price in fen, share of sales.
GOODS: tuple[tuple[str, str, int, int], ...] = (
    ("TEA-LJ-100", "明前龙井 100克 罐装", 16800, 10),
    ("TEA-BH-050", "福鼎白毫银针 50克", 23800, 6),
    ("TEA-TG-250", "安溪铁观音 清香型 250克", 9900, 14),
    ("TEA-PE-357", "勐海熟普洱饼 357克", 19900, 7),
    ("TEA-ZS-200", "正山小种 200克 袋装", 12800, 9),
    ("TEA-MO-100", "茉莉花茶 100克", 5900, 16),
    ("TEA-CP-012", "冷泡茶包 12枚", 3900, 22),
    ("TEA-CP-030", "冷泡茶包 30枚 家庭装", 7900, 12),
    ("WARE-GW-01", "白瓷盖碗 一套", 15900, 4),
    ("WARE-TM-02", "旅行茶具 便携包", 26900, 3),
    ("GIFT-ZQ-01", "中秋茶礼盒", 39800, 3),
    ("GIFT-XN-02", "新年茶礼盒", 52800, 2),
)

SHOPS: tuple[str, ...] = ("杭州湖滨店", "上海静安店", "成都太古里店", "广州天河店")
CAMPAIGNS: tuple[str, ...] = ("秋茶上新", "双十一预售", "双十一当日", "会员日", "新客礼")
