"""The same rows served by Django REST framework with django-filter, as its documentation does it."""

import os

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    # Sets Content-Length, without which answers are chunked.
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": os.environ["PEER_DATABASE_HOST"],
            "CONN_MAX_AGE": None,
        }
    },
    INSTALLED_APPS=["rest_framework", "django_filters"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
        "PAGE_SIZE": 25,
        "DEFAULT_FILTER_BACKENDS": [
            "django_filters.rest_framework.DjangoFilterBackend",
            "rest_framework.filters.OrderingFilter",
        ],
    },
)

import django

django.setup()

from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction
from django.urls import include, path
from django.utils import timezone
from django_filters import rest_framework as filters
from rest_framework import mixins, routers, serializers, viewsets


class Table(models.Model):
    id = models.BigIntegerField(primary_key=True)

    class Meta:
        abstract = True


def table(name):
    return type("Meta", (), {"managed": False, "db_table": name, "app_label": "uses"})


class Currency(Table):
    code = models.TextField()
    Meta = table("currency")


class Business(Table):
    currency = models.ForeignKey(Currency, models.PROTECT)
    Meta = table("business")


class Tariff(Table):
    name = models.TextField()
    Meta = table("tariff_booking_credit")


class Credit(Table):
    description = models.TextField()
    coworker_id = models.BigIntegerField()
    expire_date = models.DateTimeField()
    remaining_credit = models.BigIntegerField()
    coworker_product_unique_id = models.TextField()
    business = models.ForeignKey(Business, models.PROTECT)
    tariff_booking_credit = models.ForeignKey(Tariff, models.PROTECT, null=True)
    Meta = table("coworker_booking_credit")


class Resource(Table):
    name = models.TextField()
    Meta = table("resource")


class Booking(Table):
    from_time = models.DateTimeField()
    to_time = models.DateTimeField()
    resource = models.ForeignKey(Resource, models.PROTECT)
    Meta = table("booking")


class Use(Table):
    unique_id = models.TextField()
    created_on = models.DateTimeField()
    updated_on = models.DateTimeField()
    updated_by = models.TextField(null=True)
    description = models.TextField(null=True)
    credit_used = models.BigIntegerField()
    coworker_booking_credit = models.ForeignKey(Credit, models.PROTECT)
    booking = models.ForeignKey(Booking, models.PROTECT, null=True)
    Meta = table("coworker_booking_credit_use_history")


def embedded(path):
    return serializers.ReadOnlyField(source=path)


class UseSerializer(serializers.ModelSerializer):
    booking_from_time = embedded("booking.from_time")
    booking_to_time = embedded("booking.to_time")
    booking_resource_name = embedded("booking.resource.name")
    coworker_id = embedded("coworker_booking_credit.coworker_id")
    credit_description = embedded("coworker_booking_credit.description")
    tariff_name = embedded("coworker_booking_credit.tariff_booking_credit.name")
    expire_date = embedded("coworker_booking_credit.expire_date")
    remaining_credit = embedded("coworker_booking_credit.remaining_credit")
    product_unique_id = embedded("coworker_booking_credit.coworker_product_unique_id")
    currency_code = embedded("coworker_booking_credit.business.currency.code")

    class Meta:
        model = Use
        fields = [*(field.name for field in Use._meta.fields), *(
            "booking_from_time", "booking_to_time", "booking_resource_name", "coworker_id", "credit_description",
            "tariff_name", "expire_date", "remaining_credit", "product_unique_id", "currency_code",
        )]  # fmt: skip
        read_only_fields = ["id", "unique_id", "created_on", "updated_on", "updated_by", "description", "booking"]
        extra_kwargs = {"coworker_booking_credit": {"queryset": Credit.objects.all()}}

    @transaction.atomic
    def create(self, validated_data):
        """Takes the amount from the locked credit, and records the use."""
        amount = validated_data["credit_used"]
        credit = Credit.objects.select_for_update().get(pk=validated_data["coworker_booking_credit"].pk)
        if credit.remaining_credit < amount:
            raise serializers.ValidationError("The credit does not suffice.")
        credit.remaining_credit -= amount
        credit.save(update_fields=["remaining_credit"])
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval('coworker_booking_credit_use_history_ids'), gen_random_uuid()::text")
            number, unique_id = cursor.fetchone()
        now = timezone.now()
        return Use.objects.create(id=number, unique_id=unique_id, created_on=now, updated_on=now, **validated_data)


class UseFilter(filters.FilterSet):
    room = filters.CharFilter(field_name="booking__resource__name", lookup_expr="icontains")
    least = filters.NumberFilter(field_name="credit_used", lookup_expr="gte")
    since = filters.IsoDateTimeFilter(field_name="created_on", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_on", lookup_expr="lte")
    credit = filters.NumberFilter(field_name="coworker_booking_credit_id")


class UseViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.CreateModelMixin, viewsets.GenericViewSet):
    queryset = Use.objects.select_related(
        "coworker_booking_credit__business__currency", "coworker_booking_credit__tariff_booking_credit",
        "booking__resource",
    ).order_by("id")  # fmt: skip
    serializer_class = UseSerializer
    filterset_class = UseFilter
    ordering_fields = ["id", "created_on"]


router = routers.DefaultRouter()
router.register("uses", UseViewSet)
urlpatterns = [path("", include(router.urls))]
application = get_wsgi_application()
